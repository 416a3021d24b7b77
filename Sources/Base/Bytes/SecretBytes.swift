/// Bytes that are zeroed when they go and never print themselves.
package final class SecretBytes: Sendable, CustomStringConvertible {
    private let storage: Lock<[UInt8]>

    package init(_ bytes: [UInt8]) {
        storage = Lock(bytes)
    }

    deinit {
        storage.withLock { bytes in
            for index in bytes.indices { bytes[index] = 0 }
        }
    }

    package func withBytes<Result: Sendable, Failure: Error>(_ body: (borrowing [UInt8]) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        try storage.withLock { (bytes) throws(Failure) -> Result in try body(bytes) }
    }

    package var description: String { "<secret>" }
}

/// Whether two byte strings are equal, in a time that tells nothing but their lengths.
package func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for index in left.indices { difference |= left[index] ^ right[index] }
    return difference == 0
}
