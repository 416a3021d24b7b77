import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import EventLoop
import Logging
import Programs
import SQLiteBackend

/// Builds the services of one process from its configuration, runs them on its loops, and takes them down in order.
enum ProcessAssembly {
    /// How long sessions may go on after the process was told to stop.
    static let gracePeriod: Duration = .seconds(30)

    /// - Parameter reload: reads the configuration again, for HUP.
    static func run(_ config: Config, stopWithDescriptor: Int32?, reload: @escaping @Sendable () throws -> Config) throws {
        let directory = try DataDirectory(config.dataDir)
        let threshold = LogThreshold(level(config.log.severity))
        let logger = try logger(config, threshold)
        try withPIDFile(config.pidFile) {
            let loops = LoopGroup(logger: logger)
            let failure = Lock<(any Error)?>(nil)
            loops.main.spawn { loop in
                do {
                    let process = try await RunningProcess.start(
                        config, directory, reload: reload, threshold: threshold, loops, loop, logger)
                    try process.watchSignals(stopWithDescriptor: stopWithDescriptor)
                    process.giveBackMemory()
                } catch {
                    failure.withLock { $0 = error }
                    loop.stop()
                }
            }
            loops.run()
            if let error = failure.withLock({ $0 }) { throw error }
        }
    }

    static func level(_ severity: LogSeverity) -> Logger.Level {
        switch severity {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }

    private static func logger(_ config: Config, _ threshold: LogThreshold) throws(TeleportError) -> Logger {
        let destination: LogDestination =
            switch config.log.output {
            case .standardError: .standardError
            case .standardOutput: LogDestination { line in try? FileIO.write(line, descriptor: 1) }
            case .file(let path): try .file(path)
            }
        let format: LineLogHandler.Format =
            switch config.log.format {
            case .text: .text
            case .json: .json
            }
        return Logger(label: "teleport") { label in
            LineLogHandler(label: label, format: format, threshold: threshold, clock: SystemClock(), destination: destination)
        }
    }

    private static func withPIDFile(_ path: String?, _ body: () throws -> Void) throws {
        if let path { try FileIO.write(Array("\(SystemName.processIdentifier)\n".utf8), to: path, mode: 0o644) }
        defer { if let path { try? FileIO.remove(path) } }
        try body()
    }
}

/// `DATA_DIR` and what stands in it; held by one process at a time.
struct DataDirectory: Sendable {
    let path: String
    let uuid: String
    private let lock: FileLock

    var identities: String { "\(path)/identity" }
    var cache: String { "\(path)/cache" }
    var store: String { "\(path)/teleport.sqlite" }
    /// The way of a node that dials to its auth server.
    var authSocket: String { "\(path)/auth.sock" }

    init(_ path: String) throws(TeleportError) {
        self.path = path
        try FileIO.createDirectory(path, mode: 0o700)
        lock = try FileLock.hold(
            "\(path)/lock",
            busy: "another teleport process uses the data directory \(path); stop it, or give this one its own with --data-dir")
        for name in ["identity", "cache", "log"] { try FileIO.createDirectory("\(path)/\(name)", mode: 0o700) }
        uuid = try Self.hostUUID("\(path)/host_uuid")
    }

    private static func hostUUID(_ path: String) throws(TeleportError) -> String {
        if try FileIO.status(path) != nil {
            let text = String(decoding: try FileIO.read(path, max: 64), as: UTF8.self)
            let uuid = String(text.prefix { !$0.isNewline })
            try Names.checkUUID(uuid)
            return uuid
        }
        let uuid = SystemRandomness().uuid()
        try FileIO.write(Array("\(uuid)\n".utf8), to: path, mode: 0o400)
        return uuid
    }
}
