internal import Base
internal import EventLoop
internal import Logging
internal import SSHNet
internal import SSHWire

/// `direct-tcpip` (RFC 4254 §7.2) and `direct-streamlocal@openssh.com` (PROTOCOL): the node connects to where its user asks.
///
/// The channel is confirmed only when the connection stands, so that its refusal says why.
struct DirectForward {
    /// How long one address may take to answer.
    private static let connectTimeout = Duration.seconds(10)

    let request: ChannelOpenRequest
    let logger: Logger

    func open(_ endpoints: ChannelOpenType.TCPIPEndpoints, on loop: Loop) {
        let target = HostPort(host: endpoints.host, port: endpoints.port)
        loop.resolve(host: target.host, port: target.port) { result in
            switch result {
            case .failure(let error): refuse("\(target)", error)
            case .success(let addresses):
                TCPStream.connect(to: addresses, timeout: Self.connectTimeout, on: loop) { connected("\(target)", $0) }
            }
        }
    }

    /// With the rights of the login user.
    func open(path: String, by sockets: UserSockets) {
        sockets.connect(path: path) { connected(path, $0) }
    }

    private func connected<Connected: Stream>(_ target: String, _ result: Result<Connected, TeleportError>) {
        switch result {
        case .failure(let error): refuse(target, error)
        case .success(let stream):
            logger.info("forward opened", metadata: ["target": "\(target)"])
            ChannelPipe.accept(request, .stream(stream))
        }
    }

    private func refuse(_ target: String, _ error: any Error) {
        logger.info("forward refused", metadata: ["target": "\(target)", "reason": "\(error)"])
        request.refuse(.connectFailed, "\(error)")
    }
}
