import Base
import ClusterModel
import Testing

@Suite("RFC 6238 one-time passwords")
struct TimeBasedPasswordTests {
    /// RFC 6238 appendix B, SHA-1, the last six of its eight digits.
    @Test(
        arguments: [
            (59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"), (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] as [(Int64, String)])
    func `vectors of appendix B`(seconds: Int64, code: String) {
        let secret = Array("12345678901234567890".utf8)
        #expect(TimeBasedPassword.code(secret: secret, step: TimeBasedPassword.step(at: UnixTime(seconds: seconds))) == code)
    }

    private static let secret = [UInt8](repeating: 7, count: 20)
    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let step = TimeBasedPassword.step(at: now)

    private func accepted(_ code: String, lastUsed: Int64? = nil) -> Int64? {
        TimeBasedPassword.acceptedStep(code, secret: Self.secret, at: Self.now, lastUsed: lastUsed)
    }

    @Test func `the present step and its neighbours are accepted, no others`() {
        for offset in -12...12 as ClosedRange<Int64> {
            let code = TimeBasedPassword.code(secret: Self.secret, step: Self.step + offset)
            #expect(accepted(code) == ((-1...1).contains(offset) ? Self.step + offset : nil))
        }
    }

    @Test func `a used step and those before it are refused`() {
        let code = TimeBasedPassword.code(secret: Self.secret, step: Self.step)
        #expect(accepted(code, lastUsed: Self.step - 1) == Self.step)
        #expect(accepted(code, lastUsed: Self.step) == nil)
        #expect(accepted(code, lastUsed: Self.step + 1) == nil)
    }

    @Test func `empty, long, spaced and non-ASCII digits are refused`() {
        let code = TimeBasedPassword.code(secret: Self.secret, step: Self.step)
        let arabic = String(String.UnicodeScalarView(code.unicodeScalars.compactMap { Unicode.Scalar($0.value + 0x630) }))
        for wrong in [
            "", " \(code)", "\(code) ", "0\(code)", String(code.dropLast()), arabic, "\(code)\0", String(repeating: "0", count: 100_000),
        ] {
            #expect(accepted(wrong) == nil)
        }
    }

    @Test func `the URI escapes the user's name`() {
        let uri = TimeBasedPassword.uri(secret: Self.secret, user: "a@b+c", cluster: "hub")
        #expect(uri == "otpauth://totp/hub:a%40b%2Bc?secret=A4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYH&issuer=hub&algorithm=SHA1&digits=6&period=30")
    }
}
