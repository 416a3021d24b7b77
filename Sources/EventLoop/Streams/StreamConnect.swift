internal import Base
internal import CLibuv

/// A connection that is being made: addresses in turn, each with a deadline.
package final class StreamConnect {
    typealias Attempt = (SocketAddress, @escaping (CInt) -> Void) throws(TeleportError) -> Stream

    private let loop: Loop
    private var then: ((Result<Stream, TeleportError>) -> Void)?
    private var addresses: ArraySlice<SocketAddress> = []
    private var timeout: Duration = .zero
    private var attempt: Attempt?
    private var stream: Stream?
    private var timer: LoopTimer?
    /// Tells the answers of an address that was given up from those of the present one.
    private var number = 0
    private var lastError = TeleportError.badParameter("there is no address to connect to")

    init(on loop: Loop, then: @escaping (Result<Stream, TeleportError>) -> Void) {
        self.loop = loop
        self.then = then
    }

    package func cancel() {
        finish(nil)
    }

    func start(_ addresses: [SocketAddress], timeout: Duration, attempt: @escaping Attempt) {
        self.addresses = addresses[...]
        self.timeout = timeout
        self.attempt = attempt
        loop.atEndOfTurn { self.next() }
    }

    private func next() {
        guard then != nil, let attempt else { return }
        guard let address = addresses.popFirst() else {
            finish(.failure(lastError))
            return
        }
        number += 1
        let mine = number
        do throws(TeleportError) {
            stream = try attempt(address) { status in
                guard mine == self.number, self.then != nil else { return }
                if status < 0 {
                    self.failed(UVError.error(status, "connecting to \(address)"))
                } else if let stream = self.stream {
                    self.stream = nil
                    self.finish(.success(stream))
                }
            }
            timer = loop.schedule(after: timeout) {
                self.failed(TeleportError.connectionProblem("connecting to \(address): no answer"))
            }
        } catch {
            failed(error)
        }
    }

    private func failed(_ error: TeleportError) {
        lastError = error
        number += 1
        timer?.cancel()
        stream?.close()
        stream = nil
        next()
    }

    private func finish(_ result: Result<Stream, TeleportError>?) {
        timer?.cancel()
        stream?.close()
        stream = nil
        attempt = nil
        let then = then
        self.then = nil
        if let result { then?(result) }
    }
}

/// One `uv_connect_t`.
@safe
final class ConnectRequest {
    private let memory = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
    private let done: (CInt) -> Void

    init(_ done: @escaping (CInt) -> Void) {
        self.done = done
    }

    deinit {
        unsafe memory.deallocate()
    }

    /// - Returns: the code of `body`; where it is not negative the callback comes.
    func submit(_ body: (UnsafeMutablePointer<uv_connect_t>, uv_connect_cb) -> CInt) -> CInt {
        unsafe memory.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let code = unsafe body(memory) { memory, status in
            guard let memory = unsafe memory, let data = unsafe memory.pointee.data else { return }
            let request = unsafe Unmanaged<ConnectRequest>.fromOpaque(data).takeRetainedValue()
            guard let handle = unsafe memory.pointee.handle, let owner = unsafe handle.pointee.data else { return }
            let stream = unsafe Unmanaged<LoopHandle>.fromOpaque(owner).takeUnretainedValue()
            stream.loop.measured("connect") { request.done(status) }
        }
        if code < 0 { unsafe Unmanaged.passUnretained(self).release() }
        return code
    }
}
