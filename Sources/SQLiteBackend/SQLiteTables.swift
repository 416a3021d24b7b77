internal import Backend
internal import Base

/// The statements of the store; belongs to the database's thread.
final class SQLiteTables {
    private let database: Database
    private let historyMax: Int
    private let selectItem: Statement
    private let selectRange: Statement
    private let upsertItem: Statement
    private let deleteItem: Statement
    private let selectExpired: Statement
    private let insertEvent: Statement
    private let trimEvents: Statement
    private let selectEvents: Statement
    private let selectBounds: Statement

    init(path: String, historyMax: Int) throws(StoreError) {
        database = try Database(path: path)
        try SQLiteSchema.prepare(database, path: path)
        self.historyMax = historyMax
        selectItem = try database.prepare("SELECT value, revision, expires FROM items WHERE key = ?1")
        selectRange = try database.prepare(
            "SELECT key, value, revision, expires FROM items WHERE key >= ?1 AND key < ?2 AND (expires IS NULL OR expires > ?3) ORDER BY key"
        )
        upsertItem = try database.prepare("INSERT OR REPLACE INTO items (key, value, revision, expires) VALUES (?1, ?2, ?3, ?4)")
        deleteItem = try database.prepare("DELETE FROM items WHERE key = ?1")
        selectExpired = try database.prepare(
            "SELECT key FROM items WHERE expires IS NOT NULL AND expires <= ?1 ORDER BY expires, key LIMIT ?2")
        insertEvent = try database.prepare("INSERT INTO events (revision, key, value, expires) VALUES (?1, ?2, ?3, ?4)")
        trimEvents = try database.prepare("DELETE FROM events WHERE revision <= ?1")
        selectEvents = try database.prepare(
            "SELECT revision, key, value, expires FROM events WHERE revision > ?1 AND key >= ?2 AND key < ?3 ORDER BY revision LIMIT ?4")
        selectBounds = try database.prepare("SELECT min(revision), max(revision) FROM events")
    }

    func transaction<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        try database.transaction(body)
    }

    func snapshot<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        try database.snapshot(body)
    }

    // MARK: Reading

    /// The newest revision, and the oldest whose event is kept.
    func bounds() throws(StoreError) -> (oldest: Revision, latest: Revision) {
        var bounds = (oldest: Revision(1), latest: Revision.zero)
        try selectBounds.run { () throws(StoreError) in
            if let oldest = selectBounds.integer(0), let latest = selectBounds.integer(1) {
                bounds = (Revision(oldest), Revision(latest))
            }
        }
        return bounds
    }

    func item(_ key: StoreKey, now: UnixTime) throws(StoreError) -> StoreItem? {
        var item: StoreItem?
        try selectItem.run(.text(key.text)) { () throws(StoreError) in
            item = StoreItem(
                key: key, value: selectItem.blob(0) ?? [], revision: Revision(selectItem.integer(1) ?? 0),
                expires: selectItem.integer(2).map(UnixTime.init(seconds:)))
        }
        return item.flatMap { $0.isAlive(at: now) ? $0 : nil }
    }

    func range(_ prefix: StoreKey, now: UnixTime) throws(StoreError) -> StoreRange {
        var items: [StoreItem] = []
        try selectRange.run(.text(prefix.rangeStart), .text(prefix.rangeEnd), .integer(now.seconds)) { () throws(StoreError) in
            items.append(
                StoreItem(
                    key: try storedKey(selectRange.text(0)), value: selectRange.blob(1) ?? [],
                    revision: Revision(selectRange.integer(2) ?? 0), expires: selectRange.integer(3).map(UnixTime.init(seconds:))))
        }
        return StoreRange(items: items, revision: try bounds().latest)
    }

    func history(under prefix: StoreKey, after: Revision, countMax: Int) throws(StoreError) -> StoreHistory {
        let (oldest, latest) = try bounds()
        guard after.number + 1 >= oldest.number else { throw .compacted(asked: after, oldest: oldest) }
        var events: [StoreEvent] = []
        try selectEvents.run(
            .integer(after.number), .text(prefix.rangeStart), .text(prefix.rangeEnd), .integer(Int64(countMax))
        ) { () throws(StoreError) in
            let revision = Revision(selectEvents.integer(0) ?? 0)
            let key = try storedKey(selectEvents.text(1))
            if let value = selectEvents.blob(2) {
                let expires = selectEvents.integer(3).map(UnixTime.init(seconds:))
                events.append(.put(StoreItem(key: key, value: value, revision: revision, expires: expires)))
            } else {
                events.append(.delete(key, revision))
            }
        }
        let isFull = events.count == countMax
        return StoreHistory(events: events, through: isFull ? events[countMax - 1].revision : max(latest, after))
    }

    private func storedKey(_ text: String) throws(StoreError) -> StoreKey {
        do throws(TeleportError) {
            return try StoreKey(text: text)
        } catch {
            throw .failed(name: "SQLITE_CORRUPT", message: error.message)
        }
    }

    // MARK: Writing, inside a transaction

    /// Does the writes of one commit, or none of them where a condition fails.
    func apply(_ writes: [StoreWrite], latest: inout Revision, now: UnixTime) throws(StoreError) {
        let before = latest
        try database.execute("SAVEPOINT writes")
        do throws(StoreError) {
            for write in writes { try apply(write, latest: &latest, now: now) }
            try database.execute("RELEASE writes")
        } catch {
            // After any other failure the whole transaction goes.
            guard error.isCondition else { throw error }
            latest = before
            try database.execute("ROLLBACK TO writes")
            try database.execute("RELEASE writes")
            throw error
        }
    }

    private func apply(_ write: StoreWrite, latest: inout Revision, now: UnixTime) throws(StoreError) {
        var found: (revision: Revision, expires: UnixTime?)?
        try selectItem.run(.text(write.key.text)) { () throws(StoreError) in
            found = (Revision(selectItem.integer(1) ?? 0), selectItem.integer(2).map(UnixTime.init(seconds:)))
        }
        let isAlive = found.map { $0.expires.map { now < $0 } ?? true } ?? false
        try write.verify(found: isAlive ? found?.revision : nil)
        switch write.change {
        case .none:
            return
        case .put(let value, let ttl):
            latest = Revision(latest.number + 1)
            let expires = StoreWrite.expiry(ttl: ttl, now: now)?.seconds
            try upsertItem.run(.text(write.key.text), .blob(value), .integer(latest.number), .integer(expires))
            try insertEvent.run(.integer(latest.number), .text(write.key.text), .blob(value), .integer(expires))
        case .delete:
            if found != nil { try remove(write.key.text, latest: &latest) }
        }
    }

    /// Deletes at most `countMax` expired items.
    func sweep(latest: inout Revision, now: UnixTime, countMax: Int) throws(StoreError) -> Int {
        var expired: [String] = []
        try selectExpired.run(.integer(now.seconds), .integer(Int64(countMax))) { () throws(StoreError) in
            expired.append(selectExpired.text(0))
        }
        for key in expired { try remove(key, latest: &latest) }
        return expired.count
    }

    /// Forgets the events that no watch may ask for any more.
    func trim(latest: Revision) throws(StoreError) {
        try trimEvents.run(.integer(latest.number - Int64(historyMax)))
    }

    private func remove(_ key: String, latest: inout Revision) throws(StoreError) {
        latest = Revision(latest.number + 1)
        try deleteItem.run(.text(key))
        try insertEvent.run(.integer(latest.number), .text(key), .null, .null)
    }
}
