internal import Backend
internal import Base
internal import CSQLite
internal import Glibc

/// One connection to a SQLite file; used by one thread at a time.
///
/// The journal is a write-ahead log that is synced at every commit, so what was committed survives the loss of the process and of power.
@safe
final class Database {
    /// How long a statement waits for another process, a backup say, that holds the file.
    static let busyTimeoutMilliseconds: Int32 = 5000

    private let handle: OpaquePointer
    private let path: String

    /// Opens the file, or makes it, readable by its owner alone.
    init(path: String) throws(StoreError) {
        try Database.secure(path)
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
        let code = unsafe sqlite3_open_v2(path, &opened, flags, nil)
        guard code == SQLITE_OK, let handle = unsafe opened else {
            let error = unsafe Database.error(code, "\(path): " + String(cString: sqlite3_errstr(code)))
            unsafe sqlite3_close_v2(opened)
            throw error
        }
        unsafe self.handle = handle
        self.path = path
        unsafe sqlite3_extended_result_codes(handle, 1)
        unsafe sqlite3_busy_timeout(handle, Database.busyTimeoutMilliseconds)
        try execute("PRAGMA journal_mode = WAL")
        try execute("PRAGMA synchronous = FULL")
    }

    deinit {
        unsafe sqlite3_close_v2(handle)
    }

    /// Runs SQL that stands in the source; rows are not looked at.
    func execute(_ sql: String) throws(StoreError) {
        try check(unsafe sqlite3_exec(handle, sql, nil, nil, nil))
    }

    func prepare(_ sql: String) throws(StoreError) -> Statement {
        var prepared: OpaquePointer?
        try check(unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil))
        guard let statement = unsafe prepared else { preconditionFailure("an empty statement") }
        return unsafe Statement(statement, of: self)
    }

    /// Does `body` in a transaction: all of it is durable when this returns, nothing of it happened when it throws.
    func transaction<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        try run("BEGIN IMMEDIATE", body)
    }

    /// Does `body`, which only reads, on one state of the database.
    func snapshot<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        try run("BEGIN", body)
    }

    private func run<Result>(_ begin: String, _ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        try execute(begin)
        do throws(StoreError) {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            // Some failures, a full disk say, have rolled back already. What matters is the first failure: one of the rollback itself
            // is heard when the next transaction cannot begin.
            if unsafe sqlite3_get_autocommit(handle) == 0 { _ = unsafe sqlite3_exec(handle, "ROLLBACK", nil, nil, nil) }
            throw error
        }
    }

    fileprivate func check(_ code: Int32) throws(StoreError) {
        guard code != SQLITE_OK else { return }
        throw unsafe Database.error(code, "\(path): " + String(cString: sqlite3_errmsg(handle)))
    }

    private static func secure(_ path: String) throws(StoreError) {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw system("open", path) }
        defer { close(descriptor) }
        guard fchmod(descriptor, 0o600) == 0 else { throw system("fchmod", path) }
    }

    private static func system(_ call: String, _ path: String) -> StoreError {
        .failed(name: call, message: unsafe "\(path): " + String(cString: strerror(errno)))
    }

    private static func error(_ code: Int32, _ message: String) -> StoreError {
        .failed(name: SQLiteErrorName.of(code), message: message)
    }
}

/// A prepared statement. Values are bound and columns read by position, bindings from 1 and columns from 0, as in SQLite.
@safe
final class Statement {
    private let handle: OpaquePointer
    private let database: Database

    fileprivate init(_ handle: OpaquePointer, of database: Database) {
        unsafe self.handle = handle
        self.database = database
    }

    deinit {
        unsafe sqlite3_finalize(handle)
    }

    enum Value {
        case text(String)
        case blob([UInt8])
        case integer(Int64?)
        case null
    }

    /// Runs the statement and gives each row to `row`.
    func run(_ values: Value..., row: () throws(StoreError) -> Void = {}) throws(StoreError) {
        defer {
            // A failure was already reported by the step it belongs to.
            unsafe sqlite3_reset(handle)
            unsafe sqlite3_clear_bindings(handle)
        }
        for (index, value) in values.enumerated() { try bind(value, at: Int32(index + 1)) }
        while true {
            let code = unsafe sqlite3_step(handle)
            if code == SQLITE_DONE { return }
            guard code == SQLITE_ROW else { return try database.check(code) }
            try row()
        }
    }

    func integer(_ column: Int32) -> Int64? {
        unsafe sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : sqlite3_column_int64(handle, column)
    }

    func text(_ column: Int32) -> String {
        guard let bytes = unsafe sqlite3_column_text(handle, column) else { return "" }
        return unsafe String(cString: bytes)
    }

    /// nil for NULL.
    func blob(_ column: Int32) -> [UInt8]? {
        if unsafe sqlite3_column_type(handle, column) == SQLITE_NULL { return nil }
        let count = Int(unsafe sqlite3_column_bytes(handle, column))
        guard count > 0, let bytes = unsafe sqlite3_column_blob(handle, column) else { return [] }
        return unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    private func bind(_ value: Value, at index: Int32) throws(StoreError) {
        switch value {
        case .text(let text):
            let bytes = Array(text.utf8)
            try database.check(
                unsafe bytes.withUnsafeBytes { unsafe teleport_sqlite3_bind_text(handle, index, $0.baseAddress, Int32($0.count)) })
        case .blob(let bytes):
            try database.check(
                unsafe bytes.withUnsafeBytes { unsafe teleport_sqlite3_bind_blob(handle, index, $0.baseAddress, Int32($0.count)) })
        case .integer(let number?):
            try database.check(unsafe sqlite3_bind_int64(handle, index, number))
        case .integer(nil), .null:
            try database.check(unsafe sqlite3_bind_null(handle, index))
        }
    }
}
