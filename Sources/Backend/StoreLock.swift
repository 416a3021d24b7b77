package import Base

/// A lock that was acquired and ends by itself when its time is over.
package struct StoreLock: Equatable, Sendable {
    package let key: StoreKey
    package let revision: Revision
}

extension KeyValueStore {
    private static var locks: StoreKey { StoreKey("locks") }

    /// Takes the lock of this name for `ttl`.
    ///
    /// - Throws: `AlreadyAcquired` while another holds it.
    package func acquireLock(_ name: String, ttl: Duration) async throws(TeleportError) -> StoreLock {
        let key = try Self.locks.appending(name)
        do throws(TeleportError) {
            return StoreLock(key: key, revision: try await create(key, [], ttl: ttl))
        } catch {
            guard error.kind == .alreadyExists else { throw error }
            throw TeleportError(.locked(key))
        }
    }

    /// Holds the lock for another `ttl` from now.
    ///
    /// - Throws: `CompareFailed` where it has ended in the meantime.
    package func renewLock(_ lock: StoreLock, ttl: Duration) async throws(TeleportError) -> StoreLock {
        StoreLock(key: lock.key, revision: try await compareAndSwap(lock.key, expected: lock.revision, [], ttl: ttl))
    }

    /// - Throws: `CompareFailed` where it has ended in the meantime, whoever has it then keeps it.
    package func releaseLock(_ lock: StoreLock) async throws(TeleportError) {
        try await delete(lock.key, expected: lock.revision)
    }
}
