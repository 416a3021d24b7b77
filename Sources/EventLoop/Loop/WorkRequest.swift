internal import CLibuv
internal import Base

/// A piece of work on libuv's pool of threads.
///
/// Crosses threads: `body` runs on the pool and leaves its result, then the loop's thread takes over. Libuv orders the two.
@safe
final class WorkRequest: @unchecked Sendable {
    private let memory: UnsafeMutablePointer<uv_work_t>
    private let loop: Loop
    private var work: (@Sendable () -> Void)?
    private var finish: (() -> Void)?

    private init(_ loop: Loop) {
        self.loop = loop
        unsafe memory = .allocate(capacity: 1)
    }

    deinit {
        unsafe memory.deallocate()
    }

    static func submit<T: Sendable>(
        on loop: Loop, _ body: @escaping @Sendable () throws -> T, then: @escaping (Result<T, any Error>) -> Void
    ) {
        let request = WorkRequest(loop)
        let result = Lock<Result<T, any Error>?>(nil)
        request.work = {
            let value = Result { try body() }
            result.withLock { $0 = value }
        }
        request.finish = {
            if let value = result.withLock({ $0 }) { then(value) }
        }
        unsafe request.memory.pointee.data = Unmanaged.passRetained(request).toOpaque()
        let code = unsafe uv_queue_work(
            loop.uv, request.memory,
            { memory in
                guard let data = unsafe memory?.pointee.data else { return }
                unsafe Unmanaged<WorkRequest>.fromOpaque(data).takeUnretainedValue().work?()
            },
            { memory, _ in
                guard let data = unsafe memory?.pointee.data else { return }
                let request = unsafe Unmanaged<WorkRequest>.fromOpaque(data).takeRetainedValue()
                if let finish = request.finish { request.loop.measured("work", finish) }
            })
        precondition(code == 0, "uv_queue_work failed")
    }
}
