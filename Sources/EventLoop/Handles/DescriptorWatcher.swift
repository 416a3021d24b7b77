package import Base
internal import CLibuv

/// Calls back when a descriptor can be read or written: for what is no stream, and for C libraries with sockets of their own.
package final class DescriptorWatcher: LoopHandle {
    package struct Events: OptionSet, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }
        package static let readable = Events(rawValue: 1)
        package static let writable = Events(rawValue: 2)
    }

    private var body: ((Events) -> Void)?
    private var owned: FileDescriptor?

    /// Watches a descriptor of somebody else, who closes it after ``close()`` has been called.
    package init(borrowing descriptor: Int32, on loop: Loop, _ body: @escaping (Events) -> Void) throws(TeleportError) {
        self.body = body
        super.init(UV_POLL, on: loop)
        try UVError.check(unsafe uv_poll_init(loop.uv, pointer(uv_poll_t.self), descriptor), "watching a descriptor")
        adopt()
    }

    /// Owns the descriptor, and closes it when the watcher is closed.
    package convenience init(
        _ descriptor: consuming FileDescriptor, on loop: Loop, _ body: @escaping (Events) -> Void
    ) throws(TeleportError) {
        try self.init(borrowing: descriptor.raw, on: loop, body)
        owned = consume descriptor
    }

    /// - Parameter events: none stops it. An error of the descriptor counts as every event.
    package func watch(_ events: Events) {
        guard !isClosing else { return }
        if events.isEmpty {
            unsafe uv_poll_stop(pointer(uv_poll_t.self))
            return
        }
        unsafe uv_poll_start(pointer(uv_poll_t.self), events.rawValue) { handle, status, events in
            guard let data = unsafe handle?.pointee.data else { return }
            let watcher = unsafe Unmanaged<DescriptorWatcher>.fromOpaque(data).takeUnretainedValue()
            let events: Events = status < 0 ? [.readable, .writable] : Events(rawValue: events)
            watcher.loop.measured("poll") { watcher.body?(events) }
        }
    }

    package override func close() {
        super.close()
        body = nil
        // Libuv lets go of the descriptor at once.
        owned = nil
    }
}
