package import AuthAPI
package import Base
package import ClusterModel
package import EventLoop
package import Logging

/// Announces a node to its auth server, for as long as it runs.
package final class NodePresence: Sendable {
    /// A third of the 60 seconds that an announcement lasts: two may be lost.
    package static let interval = Duration.seconds(20)
    private static let backoff = Backoff(first: .milliseconds(500), longest: .seconds(10))

    private let client: AuthClient
    private let randomness: any Randomness
    private let logger: Logger
    private let announced: @Sendable (Bool) -> Void
    private let node: Lock<Node>
    private let task = Lock<Task<Void, Never>?>(nil)

    /// - Parameter announced: is told of every announcement whether the auth server has taken it.
    package init(
        client: AuthClient, node: Node, randomness: any Randomness, logger: Logger, announced: @escaping @Sendable (Bool) -> Void
    ) {
        self.client = client
        self.announced = announced
        self.node = Lock(node)
        self.randomness = randomness
        self.logger = logger
    }

    /// Announces `node` from now on, and at once; nothing where the announcing has been stopped.
    package func update(_ node: Node, on eventLoop: EventLoop) {
        self.node.withLock { $0 = node }
        guard task.withLock({ $0 != nil }) else { return }
        stop()
        start(on: eventLoop)
    }

    package func start(on eventLoop: EventLoop) {
        let running = eventLoop.spawn { loop in await self.announce(loop) }
        task.withLock { $0 = running }
    }

    package func stop() {
        task.withLock { task in
            task?.cancel()
            task = nil
        }
    }

    private func announce(_ loop: isolated EventLoop) async {
        var backoff = Self.backoff
        while !Task.isCancelled {
            var pause = Self.interval
            do throws(TeleportError) {
                try await client.heartbeat(node.withLock { $0 })
                announced(true)
                if backoff.failures > 0 { logger.info("announced again") }
                backoff.reset()
            } catch {
                guard !Task.isCancelled else { return }
                announced(false)
                if backoff.failures == 0 { logger.warning("cannot announce this node", metadata: ["error": "\(error.message)"]) }
                pause = backoff.next(randomness)
            }
            do { try await loop.sleep(for: pause) } catch { return }
        }
    }
}
