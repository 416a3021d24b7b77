package import Base
package import EventLoop
package import SSHNet
package import SSHWire

/// One tunnel, for those who are on another loop than it.
package struct TunnelPlace: Sendable {
    package let number: UInt64
    let agent: String
    let registry: LoopBound<Weak<SiteRegistry>>

    package init(number: UInt64, agent: String, registry: LoopBound<Weak<SiteRegistry>>) {
        self.number = number
        self.agent = agent
        self.registry = registry
    }

    package var eventLoop: EventLoop { registry.eventLoop }

    /// Opens a channel of the tunnel on the tunnel's loop.
    ///
    /// - Parameter then: is called on `loop`, once, with the end of the channel that is there; it is to be joined at once.
    package func transport(
        to destination: TransportDestination, timeout: Duration, on loop: Loop,
        then: @escaping (Result<CrossLoopEnd, TeleportError>) -> Void
    ) {
        let end = LoopBound(CrossLoopEnd(on: loop), on: loop)
        let answer = LoopBound(then, on: loop)
        let finish: @Sendable (Result<LoopBound<CrossLoopEnd>, TeleportError>) -> Void = { result in
            end.eventLoop.post { loop in
                guard let end = end.value(on: loop), let then = answer.value(on: loop) else { return }
                then(
                    result.map { other in
                        end.connect(to: other)
                        return end
                    })
            }
        }
        let place = self
        registry.eventLoop.post { loop in
            do throws(TeleportError) {
                guard let registry = place.registry.value(on: loop)?.object else { throw .connectionProblem("the proxy is shutting down") }
                let tunnel = try registry.tunnel(at: place)
                try tunnel.transport(to: destination, timeout: timeout, handler: CrossLoopOpening(end, finish))
            } catch {
                finish(.failure(error))
            }
        }
    }
}

/// A tunnel's channel for another loop, until it is open.
private final class CrossLoopOpening: ChannelHandler {
    private let end: LoopBound<CrossLoopEnd>
    private let finish: @Sendable (Result<LoopBound<CrossLoopEnd>, TeleportError>) -> Void

    init(_ end: LoopBound<CrossLoopEnd>, _ finish: @escaping @Sendable (Result<LoopBound<CrossLoopEnd>, TeleportError>) -> Void) {
        self.end = end
        self.finish = finish
    }

    func channelOpened(_ channel: SSHChannel) {
        finish(.success(CrossLoopEnd.join(channel, to: end)))
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        finish(.failure(.refused(reason, message)))
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.consumed(data.count)
    }

    func channelClosed(_ channel: SSHChannel) {}
}

extension TeleportError {
    /// What an agent said to a channel that it did not open.
    package static func refused(_ reason: ChannelOpenFailureReason, _ message: String) -> TeleportError {
        let text = message.isEmpty ? "the agent at the other end of the tunnel refused the connection" : message
        return TeleportError(reason == .connectFailed ? .connectionProblem : .accessDenied, text)
    }
}
