internal import CLibuv

/// Owns the memory of one libuv handle until libuv has called back that it is closed.
///
/// The loop keeps every open handle, so its owner may let go of it at any time; only ``close()`` makes it go.
/// Lives on its loop's thread, like all that is made from a ``Loop``.
@safe
package class LoopHandle {
    package let loop: Loop
    package private(set) var isClosing = false
    private let memory: UnsafeMutableRawPointer

    /// The subclass initialises the handle with libuv right after this, then calls ``adopt()``.
    init(_ type: uv_handle_type, on loop: Loop) {
        self.loop = loop
        unsafe memory = .allocate(byteCount: uv_handle_size(type), alignment: 16)
    }

    deinit {
        unsafe memory.deallocate()
    }

    func pointer<Handle>(_ type: Handle.Type) -> UnsafeMutablePointer<Handle> {
        unsafe memory.assumingMemoryBound(to: type)
    }

    /// Libuv knows the handle from here on: the loop keeps this object until the close callback.
    final func adopt() {
        unsafe uv_handle_set_data(pointer(uv_handle_t.self), Unmanaged.passUnretained(self).toOpaque())
        loop.keep(self)
    }

    /// Stops everything at once; the last callbacks come in a later turn.
    package func close() {
        guard !isClosing else { return }
        isClosing = true
        unsafe uv_close(pointer(uv_handle_t.self)) { handle in
            guard let data = unsafe uv_handle_get_data(handle) else { return }
            let object = unsafe Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue()
            object.loop.release(object)
            object.loop.measured("close") { object.closed() }
        }
    }

    /// Libuv has let go of the handle.
    func closed() {}
}
