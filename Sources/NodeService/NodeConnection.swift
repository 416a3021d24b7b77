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
    private let logger: Logger
    private var admission: Admission?
    private var sessionCount = 0
    private var takesSessions = true
    private(set) var connection: SSHConnection?

    /// Who has been let in, and the account that it is here.
    private struct Admission {
        let grant: NodeAccess.Grant
        let account: UserAccount
        let terminalGroup: UInt32?
    }

    /// Sessions at once on one connection: many more than a person opens, few enough that one client cannot fill the process table.
    private static let sessionsMax = 128

    init(server: NodeServer, peer: SocketAddress) {
        self.server = server
        self.peer = peer
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
            refuse(attempt, error.message)
            return answer(.reject)
        }
        let login = attempt.user
        connection.loop.work {
            (try UserAccounts.account(named: login)?.withShell, try UserAccounts.group(named: "tty"))
        } then: { [self] result in
            switch result {
            case .success((let account?, let group)):
                guard server.mayServe(account) else {
                    refuse(attempt, "this node does not run as root and serves its own user only")
                    return answer(.reject)
                }
                // The last key that proved itself is the one that counts; a mere question changes nothing.
                if attempt.isProven { admission = Admission(grant: grant, account: account, terminalGroup: group) }
                answer(.accept)
            case .success((nil, _)):
                refuse(attempt, "this machine has no account of that name")
                answer(.reject)
            case .failure(let error):
                refuse(attempt, "the account cannot be looked up: \(error)")
                answer(.reject)
            }
        }
    }

    private func refuse(_ attempt: UserAuthAttempt, _ reason: String) {
        var metadata: Logger.Metadata = ["login": "\(attempt.user)", "reason": "\(reason)"]
        if case .certificate(let certificate) = attempt.identity { metadata["user"] = "\(certificate.keyID)" }
        logger.info("login refused", metadata: metadata)
        server.counters.add("node_logins_refused")
    }

    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        guard let admission else { return connection.disconnect(.byApplication, "not authenticated") }
        server.counters.add("node_logins")
        logger.info(
            "login",
            metadata: [
                "login": "\(admission.account.name)", "user": "\(admission.grant.identity.name)",
                "cluster": "\(admission.grant.identity.cluster)",
            ])
    }

    /// Asks again whether this client may be here, after trust or roles have changed.
    func review(_ access: NodeAccess) {
        guard let connection, let admission, !access.stillGrants(admission.grant) else { return }
        logger.info("connection ended", metadata: ["reason": "access was withdrawn", "user": "\(admission.grant.identity.name)"])
        connection.disconnect(.byApplication, "access to this node was withdrawn")
    }

    // MARK: Channels

    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        guard let admission else { return request.refuse(.administrativelyProhibited, "not authenticated") }
        let type: ChannelOpenType
        do throws(WireError) {
            type = try ChannelOpenType(type: request.type, payload: request.payload)
        } catch {
            return refuse(request, .connectFailed, "malformed channel request")
        }
        switch type {
        case .session: openSession(request, admission, on: connection)
        case .directTCPIP(let endpoints):
            guard admission.grant.options.permitPortForwarding else {
                return refuse(request, .administrativelyProhibited, "the role or certificate permits no port forwarding")
            }
            DirectTCPIP.open(request, endpoints, on: connection.loop, logger: logger)
        case .directStreamLocal: refuse(request, .administrativelyProhibited, "forwarding of unix sockets is not served")
        case .forwardedTCPIP, .agent, .transport, .other: refuse(request, .unknownChannelType, "unknown channel type")
        }
    }

    private func refuse(_ request: ChannelOpenRequest, _ reason: ChannelOpenFailureReason, _ message: String) {
        logger.info("channel refused", metadata: ["type": "\(request.type)", "reason": "\(message)"])
        request.refuse(reason, message)
    }

    private func openSession(_ request: ChannelOpenRequest, _ admission: Admission, on connection: SSHConnection) {
        guard takesSessions else { return refuse(request, .administrativelyProhibited, "the client asked for no more sessions") }
        guard connection.channelCount < Self.sessionsMax else {
            return refuse(request, .resourceShortage, "too many sessions on this connection")
        }
        let session = LoginEnvironment.Session(
            client: peer, server: connection.local ?? server.configuration.address, identifier: server.randomness.uuid(),
            user: admission.grant.identity.name,
            cluster: server.configuration.cluster, hostUUID: server.configuration.uuid,
            webProxyAddress: server.configuration.webProxyAddress)
        let scene = SessionScene(
            grant: admission.grant, account: admission.account, terminalGroup: admission.terminalGroup, session: session,
            executable: server.configuration.sessionChildExecutable, loop: connection.loop, logger: logger)
        server.counters.add("node_sessions")
        request.accept(handler: SessionHandler(scene))
    }

    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        switch request.name {
        case "no-more-sessions@openssh.com":
            takesSessions = false
            request.reply(success: true)
        default:
            logger.debug("global request refused", metadata: ["name": "\(request.name)"])
            request.reply(success: false)
        }
    }

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        if let error { logger.debug("connection ended", metadata: ["reason": "\(error.chain.joined(separator: ": "))"]) }
        self.connection = nil
        server.ended(self)
    }
}

extension UserAccount {
    /// An account that names no shell has the standard one (`passwd(5)`).
    fileprivate var withShell: UserAccount {
        guard shell.isEmpty else { return self }
        return UserAccount(name: name, identifier: identifier, group: group, groups: groups, home: home, shell: "/bin/sh")
    }
}
