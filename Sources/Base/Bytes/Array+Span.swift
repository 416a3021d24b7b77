extension Array where Element == UInt8 {
    /// A copy of borrowed bytes.
    package init(copying span: Span<UInt8>) {
        self = unsafe span.withUnsafeBufferPointer { unsafe Array($0) }
    }

    /// Appends a copy of borrowed bytes, in one move of memory.
    package mutating func append(copying span: Span<UInt8>) {
        unsafe span.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    /// Overwrites the bytes from `offset` on with a copy of `source`, in one move of memory.
    package mutating func copy(_ source: Span<UInt8>, at offset: Int) {
        var whole = mutableSpan
        whole.copy(source, at: offset)
    }
}
