internal import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
internal import ReverseTunnel
internal import SSHEngine
internal import SSHNet
internal import SSHWire

/// One user's connection to the proxy.
final class ProxyConnection: ConnectionHandler {
    let server: ProxyServer
    let peer: SocketAddress
    private var connection: SSHConnection?
    private(set) var identity: AccessIdentity?
    private var authority: PublicKey?
    /// Once is enough: where the next route leads to another loop, its bytes cross over.
    private var hasMoved = false

    init(_ server: ProxyServer, peer: SocketAddress) {
        self.server = server
        self.peer = peer
    }

    /// A user who was let in on another loop.
    init(_ server: ProxyServer, _ user: MovingUser) {
        self.server = server
        peer = user.peer
        identity = user.identity
        authority = user.authority
        hasMoved = true
    }

    // MARK: Moving to another loop

    /// Goes on elsewhere with what the peer has asked for, if nothing else goes on here. For the end of a turn.
    ///
    /// - Returns: whether it did; then this object and the route that is being made are at their end.
    func move(to eventLoop: EventLoop, for asker: ProxyRoute.Asker) -> Bool {
        guard !hasMoved, let connection, let identity, let authority, let target = server.peers.server(on: eventLoop) else { return false }
        let move: ConnectionMove?
        var subsystem: ProxySession.Asked?
        switch asker {
        case .request(let request): move = connection.leave(with: request)
        case .session(let session, let channel):
            subsystem = session.asked
            move = connection.leave(with: channel)
        }
        guard let move else { return false }
        self.connection = nil
        server.forget(self)
        let user = MovingUser(peer: peer, identity: identity, authority: authority, subsystem: subsystem)
        target.eventLoop.post { loop in target.value(on: loop)?.object?.arrive(user, move) }
        return true
    }

    /// - Parameter review: is called once the connection is known here, and before anything is done for its peer.
    func goOn(_ arrival: ConnectionMove.Arrival, _ asked: ProxySession.Asked?, review: () -> Void) {
        switch arrival {
        case .request(let request):
            connection = request.connection
            review()
            self.connection(request.connection, opens: request)
        case .channel(let channel):
            connection = channel.connection
            review()
            if let asked { ProxySession.goOn(self, asked, channel) }
        }
    }

    /// Cuts the user off, unless the key that signed their certificate is among `keys`.
    func end(unlessSignedBy keys: Set<PublicKey>) {
        guard let authority, !keys.contains(authority) else { return }
        connection?.disconnect(.byApplication, "the certificate's authority is no longer trusted")
    }

    // MARK: ConnectionHandler

    func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void) {
        do throws(TeleportError) {
            let (identity, authority) = try authenticate(attempt)
            if attempt.isProven {
                self.identity = identity
                self.authority = authority
            }
            answer(.accept)
        } catch {
            connection.refusedKey(RefusalReason(error, of: attempt))
            server.logger.info(
                "a user was refused", metadata: ["peer": "\(peer)", "user": "\(attempt.user)", "reason": "\(error.message)"])
            answer(.reject)
        }
    }

    /// A user certificate of this cluster, whose key id or one of whose principals is the user name.
    private func authenticate(_ attempt: UserAuthAttempt) throws(TeleportError) -> (AccessIdentity, PublicKey) {
        guard case .certificate(let certificate) = attempt.identity else {
            throw .accessDenied("a bare key: log in with a certificate (tsh login, tctl auth sign)")
        }
        let snapshot = server.snapshot
        let accepted: AcceptedCertificate
        do throws(CertificateDistrust) {
            accepted = try UserCertificateCheck(authorities: snapshot.userAuthorities).judge(
                certificate, wanted: .principalOrKeyID(attempt.user), cluster: snapshot.clusterName, source: peer.ip,
                now: server.loop.wallTime)
        } catch {
            throw .accessDenied("the certificate is not accepted: \(error.explanation)", cause: error)
        }
        return (try snapshot.identity(of: certificate, signedBy: accepted.authority.cluster), accepted.authority.key)
    }

    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        server.register(self)
        server.logger.info("a user came in", metadata: ["peer": "\(peer)", "user": "\(identity?.name ?? "")"])
    }

    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        let type: ChannelOpenType
        do throws(WireError) {
            type = try ChannelOpenType(type: request.type, payload: request.payload)
        } catch {
            return request.refuse(.administrativelyProhibited, "the open message is malformed")
        }
        switch type {
        case .session:
            request.accept(handler: ProxySession(self))
        case .directTCPIP(let endpoints):
            let relayed = server.relayed
            do throws(TeleportError) {
                ProxyRoute(self, for: .request(request)).open(try RouteTarget(host: endpoints.host, port: endpoints.port)) { result in
                    switch result {
                    case .success(let side): ChannelPipe.accept(request, side, counting: relayed)
                    case .failure(let error): request.refuse(error.openFailureReason, error.message)
                    }
                }
            } catch {
                request.refuse(.administrativelyProhibited, error.message)
            }
        case .forwardedTCPIP, .directStreamLocal, .forwardedStreamLocal, .agent, .transport, .other:
            request.refuse(.unknownChannelType, "the proxy opens session and direct-tcpip channels only")
        }
    }

    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        request.reply(success: false)
    }

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        self.connection = nil
        server.forget(self)
        server.logger.info("a user left", metadata: ["peer": "\(peer)", "user": "\(identity?.name ?? "")"])
    }
}

extension TeleportError {
    /// RFC 4254 §5.1.
    var openFailureReason: ChannelOpenFailureReason {
        switch kind {
        case .connectionProblem, .systemError: .connectFailed
        case .limitExceeded: .resourceShortage
        case .accessDenied, .alreadyAcquired, .alreadyExists, .badParameter, .compareFailed, .missingParameter, .notFound, .readonly:
            .administrativelyProhibited
        }
    }
}
