internal import Base
internal import CLibuv
internal import Glibc

extension SocketAddress {
    /// Lends the address as the system's structure.
    ///
    /// - Throws: a path that is too long for `sockaddr_un`, or what `body` throws.
    func withSystemAddress<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws(TeleportError) -> Result
    ) throws(TeleportError) -> Result {
        var storage = sockaddr_storage()
        let length: socklen_t
        switch self {
        case .ip(.v4(let word), let port):
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            unsafe withUnsafeMutableBytes(of: &storage) { raw in
                let address = sockaddr_in(
                    sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian, sin_addr: in_addr(s_addr: word.bigEndian),
                    sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
                unsafe raw.storeBytes(of: address, as: sockaddr_in.self)
            }
        case .ip(.v6(let high, let low), let port):
            length = socklen_t(MemoryLayout<sockaddr_in6>.size)
            unsafe withUnsafeMutableBytes(of: &storage) { raw in
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = port.bigEndian
                unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { bytes in
                    unsafe bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
                    unsafe bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
                }
                unsafe raw.storeBytes(of: address, as: sockaddr_in6.self)
            }
        case .unix(let path):
            length = socklen_t(MemoryLayout<sockaddr_un>.size)
            let bytes = Array(path.utf8)
            // 107 bytes and a zero (unix(7)).
            guard bytes.count < 108, !bytes.contains(0) else {
                throw TeleportError.badParameter("the socket path \(path) is longer than 107 bytes")
            }
            unsafe withUnsafeMutableBytes(of: &storage) { raw in
                unsafe raw.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
                for (index, byte) in bytes.enumerated() { unsafe raw[MemoryLayout<sa_family_t>.size + index] = byte }
            }
        }
        let outcome: Swift.Result<Result, TeleportError> = unsafe withUnsafePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                do throws(TeleportError) {
                    return .success(unsafe try body(address, length))
                } catch {
                    return .failure(error)
                }
            }
        }
        return try outcome.get()
    }

    /// nil for families other than IPv4 and IPv6, and for unix sockets without a name.
    init?(system address: UnsafePointer<sockaddr>) {
        switch CInt(unsafe address.pointee.sa_family) {
        case AF_INET:
            let value = unsafe UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self)
            self = .ip(.v4(UInt32(bigEndian: value.sin_addr.s_addr)), port: UInt16(bigEndian: value.sin_port))
        case AF_INET6:
            let value = unsafe UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in6.self)
            let (high, low) = unsafe withUnsafeBytes(of: value.sin6_addr) { bytes in
                unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            self = .ip(
                IPAddress.v6(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low)).unmapped,
                port: UInt16(bigEndian: value.sin6_port))
        default: return nil
        }
    }

    enum End {
        case local, peer
    }

    /// One end of a connected socket.
    static func of(_ descriptor: CInt, _ end: End) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let code = unsafe end == .local ? getsockname(descriptor, address, &length) : getpeername(descriptor, address, &length)
                return code == 0 ? unsafe SocketAddress(system: address) : nil
            }
        }
    }
}
