internal import Base
internal import CLibuv
internal import Glibc

/// One `getaddrinfo` on libuv's pool.
@safe
final class ResolveRequest {
    private let memory: UnsafeMutablePointer<uv_getaddrinfo_t>
    private let loop: Loop
    private let host: String
    private let port: UInt16
    private let then: (Result<[SocketAddress], any Error>) -> Void

    private init(_ loop: Loop, _ host: String, _ port: UInt16, _ then: @escaping (Result<[SocketAddress], any Error>) -> Void) {
        self.loop = loop
        self.host = host
        self.port = port
        self.then = then
        unsafe memory = .allocate(capacity: 1)
    }

    deinit {
        unsafe memory.deallocate()
    }

    static func submit(
        on loop: Loop, host: String, port: UInt16, then: @escaping (Result<[SocketAddress], any Error>) -> Void
    ) {
        if let address = IPAddress(host) {
            loop.atEndOfTurn { then(.success([SocketAddress(address, port: port)])) }
            return
        }
        let request = ResolveRequest(loop, host, port, then)
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe request.memory.pointee.data = Unmanaged.passRetained(request).toOpaque()
        let code = unsafe uv_getaddrinfo(
            loop.uv, request.memory,
            { memory, status, list in
                guard let data = unsafe memory?.pointee.data else { return }
                let request = unsafe Unmanaged<ResolveRequest>.fromOpaque(data).takeRetainedValue()
                unsafe request.finish(status, list)
            }, host, nil, &hints)
        if code < 0 {
            unsafe Unmanaged.passUnretained(request).release()
            loop.atEndOfTurn { then(.failure(UVError.error(code, "looking up \(host)"))) }
        }
    }

    private func finish(_ status: CInt, _ list: UnsafeMutablePointer<addrinfo>?) {
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe SocketAddress(system: entry.pointee.ai_addr), let ip = address.ip {
                addresses.append(SocketAddress(ip, port: port))
            }
            unsafe next = entry.pointee.ai_next
        }
        unsafe uv_freeaddrinfo(list)
        loop.measured("resolve") {
            if status < 0 || addresses.isEmpty {
                let cause = UVError.error(status, "looking up \(host)")
                then(.failure(TeleportError.notFound("the host name \(host) has no address", cause: cause)))
            } else {
                then(.success(addresses))
            }
        }
    }
}
