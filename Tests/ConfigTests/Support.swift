import Base
import Config
import Glibc
import Testing

/// The message of the error that `body` throws; nil where it throws none.
func message(_ body: () throws(TeleportError) -> Void) -> String? {
    do throws(TeleportError) {
        try body()
        return nil
    } catch {
        return error.message
    }
}

extension String {
    var bytes: [UInt8] { Array(utf8) }
}

/// A text that is wrong, and what is said of it.
struct Refused: Sendable, CustomTestStringConvertible {
    let text: String
    let message: String
    var testDescription: String { message }

    init(_ text: String, _ message: String) {
        self.text = text
        self.message = message
    }
}

/// The path without links in it; itself where there is no such file.
func realPath(_ path: String) -> String {
    guard let resolved = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
}

func readFile(_ path: String) throws -> [UInt8] {
    let file = try unsafe #require(fopen(path, "r"), "\(path) is there")
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 100_000)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    return Array(bytes[..<count])
}
