import Backend
import Base
import Glibc
import SQLiteBackend
import Testing

/// The wall clock of a test: it stands until it is moved.
final class HeldClock: Clock {
    private let seconds = Lock<Int64>(1_700_000_000)

    func now() -> Instant { Instant(nanoseconds: UInt64(wallTime().seconds) * 1_000_000_000) }
    func wallTime() -> UnixTime { UnixTime(seconds: seconds.withLock { $0 }) }
    func advance(seconds count: Int64) { seconds.withLock { $0 += count } }
}

/// A directory that goes with the test.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/teleport-store-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer {
            unsafe $0.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) }
        }
        path = try #require(made)
    }

    deinit {
        for name in ["teleport.sqlite", "teleport.sqlite-wal", "teleport.sqlite-shm", "other.sqlite", "text"] {
            _ = unsafe unlink(path + "/" + name)
        }
        _ = unsafe rmdir(path)
    }

    func file(_ name: String) -> String { path + "/" + name }
}

/// Every store passes the one suite.
enum StoreUnderTest: String, CaseIterable, CustomTestStringConvertible {
    case memory, sqlite

    static let historyMax = 32

    var testDescription: String { rawValue }

    func with(_ body: (any KeyValueStore, HeldClock) async throws -> Void) async throws {
        let clock = HeldClock()
        switch self {
        case .memory:
            let store = MemoryStore(clock: clock, historyMax: StoreUnderTest.historyMax)
            try await body(store, clock)
            await store.close()
        case .sqlite:
            let directory = try TemporaryDirectory()
            let store = try SQLiteStore(path: directory.file("teleport.sqlite"), clock: clock, historyMax: StoreUnderTest.historyMax)
            try await body(store, clock)
            await store.close()
            withExtendedLifetime(directory) {}
        }
    }
}

/// The kind of error that `body` throws; nil where it throws none.
func errorKind(_ body: () async throws(TeleportError) -> Void) async -> ErrorKind? {
    await failure(body)?.kind
}

func failure(_ body: () async throws(TeleportError) -> Void) async -> TeleportError? {
    do throws(TeleportError) {
        try await body()
        return nil
    } catch {
        return error
    }
}

extension String {
    var bytes: [UInt8] { Array(utf8) }
}
