internal import Base
internal import COpenSSL

/// The one real source of random bytes: OpenSSL's generator, seeded by the kernel.
package struct SystemRandomness: Randomness {
    package init() {}

    package func bytes(_ count: Int) -> [UInt8] {
        [UInt8](capacity: count) { output in
            unsafe output.withUnsafeMutableBufferPointer { buffer, initialized in
                OpenSSLError.require(unsafe RAND_bytes(buffer.baseAddress, Int32(count)), "RAND_bytes")
                initialized = count
            }
        }
    }
}
