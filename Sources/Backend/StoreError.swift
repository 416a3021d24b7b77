package import Base

/// Why a store refused or failed; the cause of the `TeleportError` that callers see.
package enum StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The key exists and must not.
    case exists(StoreKey)
    /// The key must exist and does not.
    case missing(StoreKey)
    /// The item has another revision than the caller last saw, or is gone.
    case conflict(StoreKey, expected: Revision, found: Revision?)
    /// Somebody else holds the lock.
    case locked(StoreKey)
    /// The events after `asked` are no longer kept: read everything again and watch from there.
    case compacted(asked: Revision, oldest: Revision)
    /// A value, or the number of writes in one transaction, is above what stores take.
    case tooLarge(String)
    /// The store was closed.
    case closed
    /// The store itself failed: the name of its error and its text.
    case failed(name: String, message: String)
    /// What lies under the key is not what was put there.
    case corrupt(StoreKey, String)

    package var description: String {
        switch self {
        case .exists(let key): "\(key) already exists"
        case .missing(let key): "\(key) is not found"
        case .conflict(let key, let expected, let found):
            "\(key) has changed: expected revision \(expected.number), found \(found.map { "\($0.number)" } ?? "nothing")"
        case .locked(let key): "\(key) is held by another"
        case .compacted(let asked, let oldest): "events after revision \(asked.number) are gone, the oldest kept is \(oldest.number)"
        case .tooLarge(let what): what
        case .closed: "the store is closed"
        case .failed(let name, let message): "\(name): \(message)"
        case .corrupt(let key, let why): "the item \(key) cannot be read: \(why)"
        }
    }

    /// Whether the condition of a write did not hold, and the store is as well as before.
    package var isCondition: Bool {
        switch self {
        case .exists, .missing, .conflict: true
        case .locked, .compacted, .tooLarge, .closed, .failed, .corrupt: false
        }
    }

    package var kind: ErrorKind {
        switch self {
        case .exists: .alreadyExists
        case .missing: .notFound
        case .conflict: .compareFailed
        case .locked: .alreadyAcquired
        case .compacted, .tooLarge: .limitExceeded
        case .closed: .connectionProblem
        case .failed, .corrupt: .systemError
        }
    }
}

extension TeleportError {
    package init(_ error: StoreError) {
        self.init(error.kind, error.description, cause: error)
    }

    /// The store's own reason, where the error came from a store.
    package var storeError: StoreError? { cause as? StoreError }
}
