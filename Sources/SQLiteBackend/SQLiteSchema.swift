internal import Backend

/// The tables, and how a file comes to have them.
enum SQLiteSchema {
    /// `application_id` of our files: "TPRT".
    static let applicationID: Int64 = 0x5450_5254

    /// What brings a file from the version that is its index to the next; steps are only ever added.
    private static let migrations = [
        """
        CREATE TABLE items (
            key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, expires INTEGER
        ) WITHOUT ROWID;
        CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL;
        -- The latest history for watches, one row a write; a value of NULL is a deletion.
        CREATE TABLE events (revision INTEGER NOT NULL PRIMARY KEY, key TEXT NOT NULL, value BLOB, expires INTEGER);
        """
    ]

    /// Makes the tables of a new file, and brings an older one up to date.
    ///
    /// - Throws: where the file belongs to another program or to a later version of this one.
    static func prepare(_ database: Database, path: String) throws(StoreError) {
        let application = try number(database, "PRAGMA application_id")
        let version = try number(database, "PRAGMA user_version")
        let tables = try number(database, "SELECT count(*) FROM sqlite_schema")
        guard application == applicationID || (application == 0 && tables == 0) else {
            throw .failed(name: "SQLITE_NOTADB", message: "\(path): this SQLite file belongs to another program")
        }
        guard version <= migrations.count else {
            throw .failed(
                name: "SQLITE_SCHEMA",
                message: "\(path): its schema version \(version) is newer than \(migrations.count), the latest that this version knows")
        }
        for step in Int(version)..<migrations.count {
            try database.transaction { () throws(StoreError) in
                try database.execute(migrations[step])
                try database.execute("PRAGMA application_id = \(applicationID)")
                try database.execute("PRAGMA user_version = \(step + 1)")
            }
        }
    }

    private static func number(_ database: Database, _ sql: String) throws(StoreError) -> Int64 {
        let statement = try database.prepare(sql)
        var number: Int64 = 0
        try statement.run { () throws(StoreError) in number = statement.integer(0) ?? 0 }
        return number
    }
}
