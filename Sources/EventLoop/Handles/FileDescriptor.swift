internal import Base
internal import Glibc

/// An open descriptor with one owner, closed when it goes.
package struct FileDescriptor: ~Copyable, Sendable {
    package let raw: Int32

    /// Takes over `raw`.
    package init(_ raw: Int32) {
        self.raw = raw
    }

    deinit {
        Glibc.close(raw)
    }

    /// Gives the descriptor away.
    package consuming func release() -> Int32 {
        let raw = raw
        discard self
        return raw
    }
}
