internal import Base
internal import EventLoop
internal import Logging
internal import SSHNet
internal import SSHWire

/// `direct-tcpip` (RFC 4254 §7.2): the node connects to where its user asks, once the role permits it.
enum DirectTCPIP {
    /// How long one address may take to answer.
    private static let connectTimeout = Duration.seconds(10)

    /// The channel is confirmed only when the connection stands, so that its refusal says why.
    static func open(_ request: ChannelOpenRequest, _ endpoints: ChannelOpenType.TCPIPEndpoints, on loop: Loop, logger: Logger) {
        let target = HostPort(host: endpoints.host, port: endpoints.port)
        func refuse(_ error: any Error) {
            logger.info("forward refused", metadata: ["target": "\(target)", "reason": "\(error)"])
            request.refuse(.connectFailed, "\(error)")
        }
        loop.resolve(host: target.host, port: target.port) { result in
            switch result {
            case .failure(let error): refuse(error)
            case .success(let addresses):
                TCPStream.connect(to: addresses, timeout: connectTimeout, on: loop) { result in
                    switch result {
                    case .failure(let error): refuse(error)
                    case .success(let stream):
                        logger.info("forward opened", metadata: ["target": "\(target)"])
                        ChannelPipe.join(request.accept(handler: Opening()), stream)
                    }
                }
            }
        }
    }

    /// Stands in until the pipe takes the channel over, within the same call.
    private final class Opening: ChannelHandler {
        func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
        func channelClosed(_ channel: SSHChannel) {}
    }
}
