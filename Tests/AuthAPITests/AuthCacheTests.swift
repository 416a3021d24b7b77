import AuthAPI
import Base
import ClusterModel
import EventLoop
import Logging
import Testing

/// Answers from a script, in order; what is asked beyond it waits until the task is cancelled.
private final class ScriptedTransport: AuthTransport {
    private let answers: Lock<[Result<[UInt8], TeleportError>]>
    private let asked = Lock<[String]>([])

    init(_ answers: [Result<[UInt8], TeleportError>]) {
        self.answers = Lock(answers)
    }

    var bodies: [String] { asked.withLock { $0 } }

    func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8] {
        asked.withLock { $0.append(String(decoding: body, as: UTF8.self)) }
        let next = answers.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        if let next { return try next.get() }
        let (silence, voice) = AsyncStream.makeStream(of: Void.self)
        defer { voice.finish() }
        for await _ in silence {}
        throw .connectionProblem("given up")
    }
}

@Suite("The cache of the cluster's state")
struct AuthCacheTests {
    private static func answer(_ revision: Int64, roles: [Role] = []) throws -> Result<[UInt8], TeleportError> {
        .success(
            try JSONText.encodeBytes(SnapshotResponse(state: ClusterState(revision: revision, clusterName: "hub", roles: roles))))
    }

    private static let away = Result<[UInt8], TeleportError>.failure(.connectionProblem("away"))
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func cache(_ transport: any AuthTransport, directory: String?, on eventLoop: EventLoop) -> AuthCache {
        AuthCache(
            client: AuthClient(transport: transport), directory: directory, name: "test", eventLoop: eventLoop,
            randomness: SeededRandomness(seed: 1), logger: logger)
    }

    @Test func `each question asks for what comes after the last answer, through failures`() async throws {
        let eventLoop = EventLoop(name: "cache-test")
        eventLoop.start()
        let unchanged = Result<[UInt8], TeleportError>.success(try JSONText.encodeBytes(SnapshotResponse(state: nil)))
        let transport = ScriptedTransport([try Self.answer(5), unchanged, Self.away, try Self.answer(9)])
        let cache = cache(transport, directory: nil, on: eventLoop)
        let (revisions, told) = AsyncStream.makeStream(of: Int64.self)
        cache.onChange { told.yield($0.revision) }
        cache.start()
        var seen: [Int64] = []
        for await revision in revisions {
            seen.append(revision)
            if revision == 9 { break }
        }
        #expect(seen == [5, 9])
        #expect(cache.snapshot?.revision == 9)
        #expect(
            transport.bodies.prefix(4) == [
                #"{"after":0,"wait_seconds":0}"#, #"{"after":5,"wait_seconds":30}"#, #"{"after":5,"wait_seconds":30}"#,
                #"{"after":5,"wait_seconds":30}"#,
            ])
        cache.stop()
        eventLoop.stop()
    }

    @Test func `whoever wants to know is told when the auth server begins to answer and when it no longer does, once each time`()
        async throws
    {
        let eventLoop = EventLoop(name: "cache-test")
        eventLoop.start()
        let transport = ScriptedTransport([
            Self.away, Self.away, try Self.answer(5), try Self.answer(6), Self.away, Self.away, try Self.answer(9),
        ])
        let cache = cache(transport, directory: nil, on: eventLoop)
        let (changes, told) = AsyncStream.makeStream(of: Bool.self)
        cache.onConnection { told.yield($0) }
        cache.start()
        var seen: [Bool] = []
        for await isConnected in changes {
            seen.append(isConnected)
            if seen.count == 4 { break }
        }
        #expect(seen == [false, true, false, true])
        let (late, heard) = AsyncStream.makeStream(of: Bool.self)
        cache.onConnection { heard.yield($0) }
        var iterator = late.makeAsyncIterator()
        #expect(await iterator.next() == true)
        cache.stop()
        eventLoop.stop()
    }

    @Test func `what was saved is there before the auth server answers`() async throws {
        let eventLoop = EventLoop(name: "cache-test")
        eventLoop.start()
        let directory = "/tmp/auth-cache-test-\(SystemClock().now().nanoseconds)"
        try await eventLoop.work { try FileIO.createDirectory(directory) }
        let first = cache(ScriptedTransport([try Self.answer(7, roles: Role.defaults)]), directory: directory, on: eventLoop)
        first.start()
        _ = await first.first()
        // The second question is asked after the first answer was saved.
        first.stop()
        let file = "\(directory)/test.json"
        while try await eventLoop.work({ try FileIO.status(file) }) == nil {}
        let second = cache(ScriptedTransport([Self.away]), directory: directory, on: eventLoop)
        second.start()
        #expect(await second.first()?.roles.count == 2)
        second.stop()
        try await eventLoop.work { try FileIO.write(Array("{".utf8), to: file) }
        let third = cache(ScriptedTransport([try Self.answer(8)]), directory: directory, on: eventLoop)
        third.start()
        #expect(await third.first()?.revision == 8)
        // The answer is on its way to the file: nothing may be removed under it.
        while try await eventLoop.work({ try FileIO.read(file) == Array("{".utf8) }) {}
        third.stop()
        try await eventLoop.work { try FileIO.removeTree(directory) }
        eventLoop.stop()
    }

    @Test func `who waits for the first snapshot of a cache that is stopped gets none`() async throws {
        let eventLoop = EventLoop(name: "cache-test")
        eventLoop.start()
        let cache = cache(ScriptedTransport([]), directory: nil, on: eventLoop)
        cache.start()
        async let first = cache.first()
        cache.stop()
        #expect(await first == nil)
        eventLoop.stop()
    }
}

@Suite("Errors over the API")
struct AuthAPIErrorTests {
    @Test func `the server's kind and message come through`() {
        let body = Array(#"{"error":{"kind":"NotFound","message":"no such node"}}"#.utf8)
        let error = AuthAPIError.decode(status: 404, body: body)
        #expect(error.kind == .notFound)
        #expect(error.message == "no such node")
    }

    @Test(arguments: [
        (400, ErrorKind.badParameter), (403, .accessDenied), (404, .notFound), (409, .alreadyExists), (413, .limitExceeded),
        (502, .connectionProblem),
    ])
    func `an answer that is none of ours is judged by its status`(status: Int, kind: ErrorKind) {
        for body in ["", "<html>", #"{"error":{"kind":"Nonsense","message":"x"}}"#, "{}"] {
            #expect(AuthAPIError.decode(status: status, body: Array(body.utf8)).kind == kind)
        }
    }
}
