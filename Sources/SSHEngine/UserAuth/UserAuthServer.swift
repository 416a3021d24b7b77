internal import Base
internal import SSHWire

/// The server's side of user authentication (RFC 4252): public keys only, each request judged by itself.
///
/// Permissions come from the key whose signature was verified in the very request that is accepted: nothing is remembered from earlier ones.
struct UserAuthServer: Sendable {
    /// All requests, also those that only ask whether a key would do and are told yes.
    static let requestsMax = 64

    /// What is to be done about a request.
    enum Action {
        case send([[UInt8]])
        case ask(UserAuthAttempt)
    }

    private enum State {
        case awaitingService
        case awaitingRequest
        case asking(UserAuthAttempt)
        case succeeded
    }

    private let banner: String
    private let attemptsMax: Int
    private var state = State.awaitingService
    private var user: String?
    private var requests = 0
    private var failures = 0

    init(banner: String, attemptsMax: Int) {
        self.banner = banner
        self.attemptsMax = attemptsMax
    }

    mutating func receive(_ message: ServiceRequestMessage) throws(SSHError) -> [[UInt8]] {
        guard message.service == ServiceName.userAuth else { throw SSHError(.serviceUnknown(message.service)) }
        state = .awaitingRequest
        var sent = [ServiceAcceptMessage(service: message.service).payload()]
        if !banner.isEmpty { sent.append(UserAuthBannerMessage(message: banner).payload()) }
        return sent
    }

    mutating func receive(_ message: UserAuthRequestMessage, sessionIdentifier: [UInt8]) throws(SSHError) -> Action {
        switch state {
        case .awaitingRequest: break
        case .awaitingService, .asking, .succeeded: preconditionFailure("the gate lets a request pass")
        }
        guard message.service == ServiceName.connection else { throw SSHError(.serviceUnknown(message.service)) }
        guard user == nil || user == message.user else { throw SSHError(.userChanged) }
        user = message.user
        requests += 1
        guard requests <= Self.requestsMax else { throw SSHError(.authenticationAttempts(requests)) }
        switch message.method {
        case .none:
            // The customary question for the methods is free, once.
            return .send([requests == 1 ? failure : try fail()])
        case .other:
            return .send([try fail()])
        case .publicKey(let proof):
            guard let attempt = Self.attempt(message, proof, sessionIdentifier) else { return .send([try fail()]) }
            state = .asking(attempt)
            return .ask(attempt)
        }
    }

    /// nil where the key is none of ours to judge or the signature is wrong.
    private static func attempt(
        _ message: UserAuthRequestMessage, _ proof: UserAuthRequestMessage.PublicKeyAuth, _ sessionIdentifier: [UInt8]
    ) -> UserAuthAttempt? {
        guard let algorithm = PublicKeyAlgorithm(name: proof.algorithm),
            let identity = try? KeyIdentity(blob: proof.key, algorithm: algorithm)
        else { return nil }
        if let blob = proof.signature {
            let signed = UserAuthRequestMessage.signedData(
                sessionIdentifier: sessionIdentifier, user: message.user, service: message.service, algorithm: proof.algorithm,
                key: proof.key)
            guard let signature = try? Signature(decoding: blob),
                (try? identity.publicKey.verify(signature, over: signed, allowed: [algorithm.signature])) != nil
            else { return nil }
        }
        return UserAuthAttempt(
            user: message.user, algorithm: proof.algorithm, blob: proof.key, identity: identity, isProven: proof.signature != nil)
    }

    enum Outcome {
        case send([UInt8])
        case succeed(user: String, [UInt8])
    }

    mutating func resolve(_ answer: UserAuthAnswer) throws(SSHError) -> Outcome {
        guard case .asking(let attempt) = state else { preconditionFailure("no user is in question") }
        state = .awaitingRequest
        switch answer {
        case .reject:
            return .send(try fail())
        case .accept:
            guard attempt.isProven else {
                return .send(UserAuthPublicKeyOKMessage(algorithm: attempt.algorithm, key: attempt.blob).payload())
            }
            state = .succeeded
            return .succeed(user: attempt.user, UserAuthSuccessMessage().payload())
        }
    }

    private var failure: [UInt8] { UserAuthFailureMessage(methodsThatCanContinue: ["publickey"]).payload() }

    private mutating func fail() throws(SSHError) -> [UInt8] {
        failures += 1
        guard failures < attemptsMax else { throw SSHError(.authenticationAttempts(failures)) }
        return failure
    }
}
