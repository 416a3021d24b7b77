package import Base
internal import COpenSSL

/// scrypt (RFC 7914) with its parameters kept beside the result:
///
///     $scrypt$ln=15,r=8,p=1$SALT$HASH        salt and hash in base 64 without padding
///
/// Takes some 60 ms and 32 MiB: for the worker pool, never for a loop.
package enum PasswordHash {
    /// 2^15 · 128 · 8 = 32 MiB for each guess.
    private static let own = Parameters(logN: 15, r: 8, p: 1)
    private static let saltBytes = 16
    private static let hashBytes = 32
    /// What a stored text may cost us: 128 MiB.
    private static let memoryBytesMax: UInt64 = 128 << 20

    private struct Parameters {
        let logN: UInt64
        let r: UInt64
        let p: UInt64
    }

    package static func hash(password: [UInt8], randomness: any Randomness) -> String {
        let salt = randomness.bytes(saltBytes)
        guard let hash = derive(password, salt: salt, own, count: hashBytes) else { preconditionFailure("scrypt: \(OpenSSLError.take())") }
        return
            "$scrypt$ln=\(own.logN),r=\(own.r),p=\(own.p)$\(Base64.encode(salt, padded: false))$\(Base64.encode(hash, padded: false))"
    }

    /// Compares in constant time; text of another form fits no password.
    package static func verify(password: [UInt8], against hash: String) -> Bool {
        let fields = hash.split(separator: "$", omittingEmptySubsequences: false)
        guard fields.count == 5, fields[0].isEmpty, fields[1] == "scrypt", let parameters = parse(fields[2]),
            let salt = Base64.decode(fields[3]), let expected = Base64.decode(fields[4]), expected.count == hashBytes,
            let actual = derive(password, salt: salt, parameters, count: hashBytes)
        else { return false }
        return constantTimeEqual(actual, expected)
    }

    private static func parse(_ text: Substring) -> Parameters? {
        let values = text.split(separator: ",", omittingEmptySubsequences: false)
        guard values.count == 3, values[0].hasPrefix("ln="), values[1].hasPrefix("r="), values[2].hasPrefix("p="),
            let logN = UInt64(values[0].dropFirst(3)), let r = UInt64(values[1].dropFirst(2)), let p = UInt64(values[2].dropFirst(2)),
            1...20 ~= logN, 1...32 ~= r, 1...4 ~= p
        else { return nil }
        return Parameters(logN: logN, r: r, p: p)
    }

    private static func derive(_ password: [UInt8], salt: [UInt8], _ parameters: Parameters, count: Int) -> [UInt8]? {
        scrypt(password, salt: salt, n: 1 << parameters.logN, r: parameters.r, p: parameters.p, count: count)
    }

    /// RFC 7914 §6; nil where the parameters cost more than is allowed.
    static func scrypt(_ password: [UInt8], salt: [UInt8], n: UInt64, r: UInt64, p: UInt64, count: Int) -> [UInt8]? {
        var output = [UInt8](repeating: 0, count: count)
        // An empty array may have no address, which EVP_PBE_scrypt takes for "check the parameters only".
        let passwordBytes = (password + [0]).map { CChar(bitPattern: $0) }
        guard
            unsafe EVP_PBE_scrypt(passwordBytes, password.count, salt + [0], salt.count, n, r, p, memoryBytesMax, &output, count) == 1
        else {
            ERR_clear_error()
            return nil
        }
        return output
    }
}
