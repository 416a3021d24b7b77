extension MutableSpan where Element == UInt8 {
    /// Overwrites the bytes from `offset` on with a copy of `source`, in one move of memory.
    @_lifetime(self: copy self)
    package mutating func copy(_ source: Span<UInt8>, at offset: Int) {
        precondition(offset >= 0 && source.count <= count - offset, "copy past the end")
        unsafe withUnsafeMutableBufferPointer { destination in
            unsafe source.withUnsafeBufferPointer { origin in
                guard let from = origin.baseAddress, let to = destination.baseAddress else { return }
                unsafe to.advanced(by: offset).update(from: from, count: origin.count)
            }
        }
    }
}
