import AuthAPI
import Base
import ClusterModel
import EventLoop
import Logging
import NodeService
import Testing

@Suite("NodePresence", .timeLimit(.minutes(1)))
struct NodePresenceTests {
    /// Refuses a number of calls, then answers, and says when it has.
    private final class Transport: AuthTransport {
        private let refusals: Lock<Int>
        private let answered: AsyncStream<String>.Continuation
        let calls: AsyncStream<String>

        init(refusals: Int) {
            self.refusals = Lock(refusals)
            (calls, answered) = AsyncStream.makeStream()
        }

        func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8] {
            let refuses = refusals.withLock { refusals in
                defer { refusals = max(0, refusals - 1) }
                return refusals > 0
            }
            answered.yield(String(decoding: body, as: UTF8.self))
            if refuses { throw .connectionProblem("the auth server does not answer") }
            return Array("{}".utf8)
        }
    }

    @Test func `a node announces itself, again and again while nobody answers`() async throws {
        let transport = Transport(refusals: 2)
        let eventLoop = EventLoop(name: "presence-tests")
        eventLoop.start()
        defer { eventLoop.stop() }
        let node = Node(
            uuid: "9f7c0a52-6f2b-4f3e-9d0a-000000000002", hostname: "db1", addr: "127.0.0.1:3022", labels: ["env": "test"], cluster: "east")
        let (announcements, told) = AsyncStream<Bool>.makeStream()
        let presence = NodePresence(
            client: AuthClient(transport: transport), node: node, randomness: SeededRandomness(seed: 3), logger: Logger(label: "node")
        ) { told.yield($0) }
        presence.start(on: eventLoop)
        var calls = transport.calls.makeAsyncIterator()
        for _ in 0..<3 {
            let body = await calls.next()
            #expect(body?.contains(#""hostname":"db1""#) == true, "\(body ?? "")")
        }
        var outcomes: [Bool] = []
        for await isAnnounced in announcements {
            outcomes.append(isAnnounced)
            if outcomes.count == 3 { break }
        }
        #expect(outcomes == [false, false, true])
        presence.stop()
    }
}
