package import Base
internal import CLibuv

/// A signal to this process, as an event of a loop.
package final class SignalWatcher: LoopHandle {
    private var body: (() -> Void)?

    /// - Parameter signal: its number, such as ``Signal/terminate``.
    package init(_ signal: Signal, on loop: Loop, _ body: @escaping () -> Void) throws(TeleportError) {
        self.body = body
        super.init(UV_SIGNAL, on: loop)
        unsafe uv_signal_init(loop.uv, pointer(uv_signal_t.self))
        adopt()
        let code = unsafe uv_signal_start(
            pointer(uv_signal_t.self),
            { handle, _ in
                guard let data = unsafe handle?.pointee.data else { return }
                let watcher = unsafe Unmanaged<SignalWatcher>.fromOpaque(data).takeUnretainedValue()
                watcher.loop.measured("signal") { watcher.body?() }
            }, signal.number)
        if code < 0 {
            close()
            throw UVError.error(code, "watching a signal")
        }
    }

    package override func close() {
        super.close()
        body = nil
    }
}
