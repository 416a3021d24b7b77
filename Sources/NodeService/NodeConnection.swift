internal import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
internal import SSHEngine
internal import SSHNet
internal import SSHWire

/// One client's connection to a node: who it is, then its channels.
final class NodeConnection: ConnectionHandler {
    private let server: NodeServer
    private let peer: SocketAddress
    /// Our own address on the way to the client, where the connection itself has none.
    private let local: SocketAddress?
    private let ended: () -> Void
    private let logger: Logger
    private var admission: Admission?
    private var sockets: UserSockets?
    private var forwards: RemoteForwards?
    private(set) var sessionCount = 0
    private var takesSessions = true
    private(set) var connection: SSHConnection?

    /// Who has been let in, and the account that it is here.
    private struct Admission {
        var grant: NodeAccess.Grant
        let account: UserAccount
        let terminalGroup: UInt32?
    }

    /// Sessions at once on one connection: many more than a person opens, few enough that one client cannot fill the process table.
    private static let sessionsMax = 128

    /// - Parameter ended: is called once, when nothing is left of the connection.
    init(server: NodeServer, peer: SocketAddress, local: SocketAddress?, ended: @escaping () -> Void) {
        self.server = server
        self.peer = peer
        self.local = local
        self.ended = ended
        var logger = server.logger
        logger[metadataKey: "peer"] = "\(peer)"
        self.logger = logger
    }

    // MARK: Authentication

    func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void) {
        self.connection = connection
        let grant: NodeAccess.Grant
        do throws(TeleportError) {
            grant = try server.judge(attempt, source: peer.ip, now: connection.loop.wallTime)
        } catch {
            refuse(attempt, error, on: connection)
            return answer(.reject)
        }
        let login = attempt.user
        connection.loop.work {
            (try UserAccounts.account(named: login)?.withShell, try UserAccounts.group(named: "tty"))
        } then: { [self] result in
            switch result {
            case .success((let account?, let group)):
                guard server.mayServe(account) else {
                    refuse(attempt, .accessDenied("this node does not run as root and serves its own user only"), on: connection)
                    return answer(.reject)
                }
                // The last key that proved itself is the one that counts; a mere question changes nothing.
                if attempt.isProven { admission = Admission(grant: grant, account: account, terminalGroup: group) }
                answer(.accept)
            case .success((nil, _)):
                refuse(attempt, .accessDenied("this machine has no account of that name"), on: connection)
                answer(.reject)
            case .failure(let error):
                refuse(attempt, TeleportError(.systemError, "the account cannot be looked up: \(error)"), on: connection)
                answer(.reject)
            }
        }
    }

    private func refuse(_ attempt: UserAuthAttempt, _ error: TeleportError, on connection: SSHConnection) {
        var metadata: Logger.Metadata = ["login": "\(attempt.user)", "reason": "\(error.message)"]
        if case .certificate(let certificate) = attempt.identity { metadata["user"] = "\(certificate.keyID)" }
        logger.info("login refused", metadata: metadata)
        connection.refusedKey(RefusalReason(error, of: attempt))
    }

    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        guard let admission else { return connection.disconnect(.byApplication, "not authenticated") }
        let sockets = UserSockets(
            account: admission.account, executable: server.configuration.sessionChildExecutable, on: connection.loop)
        self.sockets = sockets
        forwards = RemoteForwards(connection: connection, account: admission.account, sockets: sockets, logger: logger)
        logger.info(
            "login",
            metadata: [
                "login": "\(admission.account.name)", "user": "\(admission.grant.identity.name)",
                "cluster": "\(admission.grant.identity.cluster)",
            ])
    }

    /// Asks again whether this client may be here, after trust or roles have changed.
    func review(_ access: NodeAccess) {
        guard let connection, let admission else { return }
        if let grant = access.renewed(admission.grant) {
            // Sessions that run go on as they began; what is asked from now on obeys the new roles, and nobody listens who may not.
            self.admission?.grant = grant
            if !grant.options.permitPortForwarding { forwards?.cancelAll() }
            if !grant.options.permitAgentForwarding { forwards?.cancelAgent() }
            return
        }
        logger.info("connection ended", metadata: ["reason": "access was withdrawn", "user": "\(admission.grant.identity.name)"])
        connection.disconnect(.byApplication, "access to this node was withdrawn")
    }

    // MARK: Channels

    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        guard let admission, let sockets, let forwards else {
            return request.refuse(.administrativelyProhibited, "not authenticated")
        }
        let type: ChannelOpenType
        do throws(WireError) {
            type = try ChannelOpenType(type: request.type, payload: request.payload)
        } catch {
            return refuse(request, .connectFailed, "malformed channel request")
        }
        switch type {
        case .session: openSession(request, admission, forwards, on: connection)
        case .directTCPIP(let endpoints):
            guard admission.grant.options.permitPortForwarding else {
                return refuse(request, .administrativelyProhibited, Self.noForwarding)
            }
            DirectForward(request: request, logger: logger).open(endpoints, on: connection.loop)
        case .directStreamLocal(let path):
            guard admission.grant.options.permitPortForwarding else {
                return refuse(request, .administrativelyProhibited, Self.noForwarding)
            }
            DirectForward(request: request, logger: logger).open(path: path, by: sockets)
        case .forwardedTCPIP, .forwardedStreamLocal, .agent, .transport, .other:
            refuse(request, .unknownChannelType, "unknown channel type")
        }
    }

    private func refuse(_ request: ChannelOpenRequest, _ reason: ChannelOpenFailureReason, _ message: String) {
        server.refused(.channel)
        logger.info("channel refused", metadata: ["type": "\(request.type)", "reason": "\(message)"])
        request.refuse(reason, message)
    }

    private func openSession(
        _ request: ChannelOpenRequest, _ admission: Admission, _ forwards: RemoteForwards, on connection: SSHConnection
    ) {
        guard takesSessions else { return refuse(request, .administrativelyProhibited, "the client asked for no more sessions") }
        guard sessionCount < Self.sessionsMax else {
            return refuse(request, .resourceShortage, "too many sessions on this connection")
        }
        let session = LoginEnvironment.Session(
            client: peer, server: connection.local ?? local ?? server.configuration.address, identifier: server.randomness.uuid(),
            user: admission.grant.identity.name,
            cluster: server.configuration.cluster, hostUUID: server.configuration.uuid,
            webProxyAddress: server.configuration.webProxyAddress)
        let scene = SessionScene(
            grant: admission.grant, account: admission.account, terminalGroup: admission.terminalGroup, session: session,
            children: server.configuration.sessionChildren, forwards: forwards, loop: connection.loop, logger: logger)
        server.openedSession()
        sessionCount += 1
        request.accept(handler: SessionHandler(scene) { [weak self] in self?.sessionCount -= 1 })
    }

    // MARK: Global requests

    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        do {
            try answer(request, on: connection)
        } catch {
            refuse(request, error, on: connection)
        }
    }

    /// The reply has no room for a reason.
    private func refuse(_ request: GlobalRequest, _ reason: any Error, on connection: SSHConnection) {
        server.refused(.globalRequest)
        logger.info("global request refused", metadata: ["name": "\(request.name)", "reason": "\(reason)"])
        connection.explain("\(request.name) refused: \(reason)")
        request.reply(success: false)
    }

    private func answer(_ request: GlobalRequest, on connection: SSHConnection) throws {
        switch try GlobalRequestType(name: request.name, payload: request.payload) {
        case .noMoreSessions:
            takesSessions = false
            request.reply(success: true)
        case .tcpipForward(let address, let port):
            let bound = try permittedForwards().listen(address: address, port: port)
            logger.info("remote forward opened", metadata: ["address": "\(address)", "port": "\(bound)"])
            // Only who let the system choose needs to be told (RFC 4254 §7.1).
            var writer = ByteWriter()
            if port == 0 { writer.writeUInt32(UInt32(bound)) }
            request.reply(success: true, payload: writer.finish())
        case .cancelTCPIPForward(let address, let port):
            guard try permittedForwards().cancel(address: address, port: port) else { throw Self.noSuchForward }
            request.reply(success: true)
        case .streamLocalForward(let path):
            try permittedForwards().listen(path: path) { [self] result in
                switch result {
                case .success:
                    logger.info("remote forward opened", metadata: ["path": "\(path)"])
                    request.reply(success: true)
                case .failure(let error): refuse(request, error, on: connection)
                }
            }
        case .cancelStreamLocalForward(let path):
            guard try permittedForwards().cancel(path: path) else { throw Self.noSuchForward }
            request.reply(success: true)
        case .keepalive, .hostKeys, .hostKeysProve, .other:
            throw TeleportError.notFound("no such request is known")
        }
    }

    private func permittedForwards() throws(TeleportError) -> RemoteForwards {
        guard let admission, let forwards else { throw .accessDenied("not authenticated") }
        guard admission.grant.options.permitPortForwarding else { throw .accessDenied(Self.noForwarding) }
        return forwards
    }

    private static let noForwarding = "the role or certificate permits no port forwarding"
    private static let noSuchForward = TeleportError.notFound("this connection has no such forward")

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        if let error { logger.debug("connection ended", metadata: ["reason": "\(error.chain.joined(separator: ": "))"]) }
        self.connection = nil
        forwards?.close()
        forwards = nil
        sockets = nil
        server.ended(self)
        ended()
    }
}

extension UserAccount {
    /// An account that names no shell has the standard one (`passwd(5)`).
    fileprivate var withShell: UserAccount {
        guard shell.isEmpty else { return self }
        return UserAccount(name: name, identifier: identifier, group: group, groups: groups, home: home, shell: "/bin/sh")
    }
}
