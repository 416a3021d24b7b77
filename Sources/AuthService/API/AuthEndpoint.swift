internal import AuthAPI
internal import Base
internal import ClusterModel
internal import Crypto
internal import EventLoop
internal import HTTPServer
internal import Logging

/// The HTTPS API on 3025: mutual TLS, where a stranger reaches what a token permits and nothing else.
final class AuthEndpoint: Sendable {
    private let eventLoop: EventLoop
    private let server: LoopBound<HTTPServer>
    /// Where it listens, with the ports that the kernel chose.
    let addresses: [SocketAddress]
    private let requests: Lock<Requests>

    private struct Requests {
        var served: UInt64 = 0
        var failed = Tally<ErrorKind>()
    }

    /// Every node and proxy keeps a question open; proxies ask for many users.
    private static let connectionsMax = 16_384
    /// Of one proxy: two for each of some thousands of nodes that reach this server through it.
    private static let connectionsPerAddressMax = 8192

    static func open(
        _ dispatcher: AuthDispatcher, clusterName: String, identity: HostIdentity, tlsAuthority: String, addresses: [SocketAddress],
        clock: any Clock, on eventLoop: EventLoop, logger: Logger
    ) async throws(TeleportError) -> AuthEndpoint {
        let authority: X509Certificate
        do { authority = try X509Certificate(pem: tlsAuthority) } catch {
            throw TeleportError(.systemError, "the TLS authority cannot be read", cause: error)
        }
        var configuration = HTTPServerConfiguration(
            identity: serverIdentity(identity),
            clientCertificates: .optional(authorities: [authority]))
        configuration.limits.connectionsMax = connectionsMax
        configuration.limits.connectionsPerAddressMax = connectionsPerAddressMax
        var router = HTTPRouter()
        let requests = Lock(Requests())
        for path in dispatcher.paths {
            router.add(.post, path, bodyBytesMax: Endpoints.requestBytesMax) { request in
                do throws(TeleportError) {
                    let caller = try Self.caller(of: request, clusterName: clusterName)
                    let answer = try await dispatcher.call(path, body: request.body, caller: caller)
                    requests.withLock { $0.served += 1 }
                    return .json(answer)
                } catch {
                    requests.withLock { $0.failed.count(error.kind) }
                    throw error
                }
            }
        }
        let server = LoopBound<HTTPServer>(eventLoop)
        let finished = configuration
        let routes = router
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<[SocketAddress], TeleportError>, Never>) in
            eventLoop.post { loop in
                do throws(TeleportError) {
                    let opened = try HTTPServer(finished, router: routes, clock: clock, on: loop.inside, logger: logger)
                    server.set(opened, on: loop)
                    for address in addresses { try opened.listen(on: address) }
                    continuation.resume(returning: .success(opened.addresses))
                } catch {
                    server.value(on: loop)?.close(grace: .zero)
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return AuthEndpoint(eventLoop, server, try result.get(), requests)
    }

    private init(_ eventLoop: EventLoop, _ server: LoopBound<HTTPServer>, _ addresses: [SocketAddress], _ requests: Lock<Requests>) {
        self.requests = requests
        self.eventLoop = eventLoop
        self.server = server
        self.addresses = addresses
    }

    /// New connections are shown this identity's certificate.
    func setIdentity(_ identity: HostIdentity, on loop: isolated EventLoop) throws(TeleportError) {
        try server.value(on: loop)?.setIdentity(Self.serverIdentity(identity))
    }

    private static func serverIdentity(_ identity: HostIdentity) -> HTTPServerIdentity {
        HTTPServerIdentity(certificates: identity.tlsCertificate, privateKey: SecretBytes(Array(identity.tlsPrivateKey.utf8)))
    }

    func add(to metrics: inout Metrics) {
        let (served, failed) = requests.withLock { ($0.served, $0.failed) }
        metrics.add(.requestsServed, served)
        metrics.add(.requestsFailed, failed, by: "kind")
    }

    /// Ends when nothing of the server is left on the loop.
    func close() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            eventLoop.post { [server] loop in
                guard let open = server.value(on: loop) else { return continuation.resume() }
                server.set(nil, on: loop)
                open.close { continuation.resume() }
            }
        }
    }

    /// Whom a request speaks for. The chain has been verified; the name in it must be that of the cluster whose authority vouches for it.
    private static func caller(of request: HTTPRequest, clusterName: String) throws(TeleportError) -> Caller {
        let address = request.peerAddress.ip.map { "\($0)" } ?? "\(request.peerAddress)"
        guard let peer = request.peer else { return Caller(identity: nil, peer: address) }
        let identity = try TLSIdentity(subjectOf: peer.certificate)
        guard identity.cluster == clusterName else {
            throw .accessDenied("the client certificate names cluster \(identity.cluster), which is not its authority's")
        }
        return Caller(identity: identity, peer: address)
    }
}

extension Metric {
    fileprivate static let requestsServed = Metric(
        .counter, "teleport_auth_requests_served_total", "Requests of the API that were answered.")
    fileprivate static let requestsFailed = Metric(
        .counter, "teleport_auth_requests_failed_total", "Requests of the API that were not, by what kind of error they were told.")
}
