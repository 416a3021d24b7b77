import Glibc
import Testing

/// Runs shell commands in a folder that goes with the value.
final class Shell {
    enum Failure: Error { case cannotRun }

    let folder: String

    init() throws {
        var template = Array("/tmp/examples-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
        }
        try #require(made)
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        _ = unsafe system("rm -rf \(folder)")
    }

    /// What the command printed on stdout and stderr; another exit status than 0 fails the test.
    @discardableResult
    func run(_ command: String) throws -> String {
        guard let stream = unsafe popen("cd \(folder) && { \(command)\n} 2>&1 </dev/null", "r") else { throw Failure.cannotRun }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            output += buffer[..<count]
        }
        let text = String(decoding: output, as: UTF8.self)
        try #require(unsafe pclose(stream) == 0, "\(command): \(text)")
        return text
    }

    func write(_ text: String, to name: String) throws {
        guard let stream = unsafe fopen("\(folder)/\(name)", "w") else { throw Failure.cannotRun }
        defer { unsafe fclose(stream) }
        let bytes = Array(text.utf8)
        try #require(unsafe fwrite(bytes, 1, bytes.count, stream) == bytes.count)
    }

    /// The text of a file below `examples/`.
    static func example(_ name: String) throws -> String {
        let root = String(#filePath.dropLast("Tests/ExamplesTests/Shell.swift".count))
        guard let stream = unsafe fopen("\(root)examples/\(name)", "r") else { throw Failure.cannotRun }
        defer { unsafe fclose(stream) }
        var bytes = [UInt8](repeating: 0, count: 100_000)
        let count = unsafe fread(&bytes, 1, bytes.count, stream)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    static func has(_ program: String) -> Bool { unsafe access(program, X_OK) == 0 }

    static var isRoot: Bool { geteuid() == 0 }
}
