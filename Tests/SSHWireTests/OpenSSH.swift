import Glibc
import Testing

/// The machine's own OpenSSH programs, run in a directory that goes with the value.
final class OpenSSH {
    enum Failure: Error { case cannotRun }

    static var hasServer: Bool { unsafe access("/usr/sbin/sshd", X_OK) == 0 }

    let directory: String

    init() throws {
        var template = Array("/tmp/sshwire-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
        }
        try #require(made)
        directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        _ = unsafe system("rm -rf \(directory)")
    }

    /// Runs a shell command in the directory and returns what it printed; another exit status than 0 fails the test.
    @discardableResult
    func run(_ command: String) throws -> String {
        let (status, output) = try attempt(command)
        try #require(status == 0, "\(command): \(output)")
        return output
    }

    func attempt(_ command: String) throws -> (status: Int32, output: String) {
        guard let stream = unsafe popen("cd \(directory) && { \(command) ; } 2>&1", "r") else { throw Failure.cannotRun }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            output += buffer[..<count]
        }
        return (unsafe pclose(stream), String(decoding: output, as: UTF8.self))
    }

    func read(_ name: String) throws -> String {
        try run("cat \(name)")
    }

    func write(_ text: String, to name: String) throws {
        guard let stream = unsafe fopen("\(directory)/\(name)", "w") else { throw Failure.cannotRun }
        let bytes = Array(text.utf8)
        let count = unsafe fwrite(bytes, 1, bytes.count, stream)
        unsafe fclose(stream)
        try #require(count == bytes.count)
        unsafe chmod("\(directory)/\(name)", 0o600)
    }

    /// Makes a key pair `name` and `name.pub`.
    func makeKey(_ name: String, _ arguments: String) throws {
        try run("ssh-keygen -q -N '' -C 'a comment' -f \(name) \(arguments)")
    }
}
