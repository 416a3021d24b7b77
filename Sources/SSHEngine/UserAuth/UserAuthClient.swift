internal import Base
internal import SSHWire

/// The client's side of user authentication (RFC 4252): each credential in turn, signed at once.
struct UserAuthClient: Sendable {
    /// What comes next.
    enum Step {
        case send([[UInt8]])
        /// A request to log in; whether it is the last that there will be.
        case request([UInt8], isLast: Bool)
        case sign(SignatureRequest)
    }

    private enum State {
        case idle
        /// The request for the service is out; nothing behind it.
        case awaitingService
        /// A request to be judged is out; before it, perhaps, the one for the service.
        case awaitingAnswer
        case signing(SignatureRequest)
        case succeeded
    }

    let options: ClientOptions
    private var state = State.idle
    /// The position of the credential to be tried next.
    private var next = 0
    private var askedForMethods = false
    private var methodsThatCanContinue: [String] = []
    /// `server-sig-algs` (RFC 8308 §3.1), where the server told them.
    private var serverSignatureAlgorithms: [String]?

    init(options: ClientOptions) {
        self.options = options
    }

    var user: String { options.user }

    mutating func receive(_ message: ExtensionInfoMessage) {
        if let names = message.serverSignatureAlgorithms { serverSignatureAlgorithms = names }
    }

    /// The first keys are in use: the service is asked for, and behind it, without waiting, comes the first request that needs no word from
    /// the server.
    ///
    /// - Parameter knowsAlgorithms: whether the server is known to verify whatever we sign with.
    mutating func begin(sessionIdentifier: [UInt8], knowsAlgorithms: Bool) throws(SSHError) -> (service: [UInt8], then: Step) {
        let service = ServiceRequestMessage(service: ServiceName.userAuth).payload()
        guard let first = options.credentials.first, case .key = first.signer, knowsAlgorithms || first.identity.publicKey.type != .rsa
        else {
            state = .awaitingService
            return (service, .send([]))
        }
        return (service, try advance(sessionIdentifier))
    }

    mutating func receive(_ message: ServiceAcceptMessage, sessionIdentifier: [UInt8]) throws(SSHError) -> Step {
        guard message.service == ServiceName.userAuth else { throw SSHError(.serviceUnknown(message.service)) }
        switch state {
        case .awaitingService: return try advance(sessionIdentifier)
        case .awaitingAnswer: return .send([])
        case .idle, .signing, .succeeded: preconditionFailure("the gate lets SERVICE_ACCEPT pass")
        }
    }

    mutating func receive(_ message: UserAuthFailureMessage, sessionIdentifier: [UInt8]) throws(SSHError) -> Step {
        try expectAnswer(.userAuthFailure)
        methodsThatCanContinue = message.methodsThatCanContinue
        guard methodsThatCanContinue.contains("publickey") else { throw exhausted }
        return try advance(sessionIdentifier)
    }

    mutating func receiveSuccess() throws(SSHError) {
        try expectAnswer(.userAuthSuccess)
        state = .succeeded
    }

    /// - Parameter signature: nil where the holder of the key cannot or will not sign.
    mutating func resolve(signature: [UInt8]?, sessionIdentifier: [UInt8]) throws(SSHError) -> Step {
        guard case .signing(let request) = state else { preconditionFailure("no signature is in question") }
        guard let signature else { return try advance(sessionIdentifier) }
        state = .awaitingAnswer
        return self.request(request.algorithm, request.publicKeyBlob, signature)
    }

    private func expectAnswer(_ number: MessageNumber) throws(SSHError) {
        switch state {
        case .awaitingAnswer: return
        case .idle, .awaitingService, .signing, .succeeded: throw SSHError(.unexpectedMessage(number.rawValue, in: .userAuth))
        }
    }

    private var exhausted: SSHError { SSHError(.credentialsExhausted(methodsThatCanContinue: methodsThatCanContinue)) }

    /// The next credential that can be used; after the last one there is no way in.
    private mutating func advance(_ sessionIdentifier: [UInt8]) throws(SSHError) -> Step {
        while next < options.credentials.count {
            let index = next
            let credential = options.credentials[index]
            next += 1
            guard let algorithm = algorithm(for: credential) else { continue }
            let blob = credential.identity.blob
            let signed = UserAuthRequestMessage.signedData(
                sessionIdentifier: sessionIdentifier, user: options.user, service: ServiceName.connection, algorithm: algorithm.name,
                key: blob)
            switch credential.signer {
            case .external:
                let request = SignatureRequest(credential: index, algorithm: algorithm.name, publicKeyBlob: blob, bytes: signed)
                state = .signing(request)
                return .sign(request)
            case .key(let key):
                guard let signature = try? key.sign(signed, with: algorithm.signature) else { continue }
                state = .awaitingAnswer
                return request(algorithm.name, blob, signature.encoded())
            }
        }
        // Nothing to try at all: the server still says what it would take.
        guard options.credentials.isEmpty, !askedForMethods else { throw exhausted }
        askedForMethods = true
        state = .awaitingAnswer
        return .send([UserAuthRequestMessage(user: options.user, method: .none).payload()])
    }

    private func request(_ algorithm: String, _ key: [UInt8], _ signature: [UInt8]) -> Step {
        let request = UserAuthRequestMessage(
            user: options.user, method: .publicKey(.init(algorithm: algorithm, key: key, signature: signature)))
        return .request(request.payload(), isLast: next == options.credentials.count)
    }

    /// The key's best algorithm that the server verifies; its best where the server said nothing.
    private func algorithm(for credential: UserCredential) -> PublicKeyAlgorithm? {
        let possible = credential.identity.publicKey.type.signatureAlgorithms
        let chosen = possible.first { serverSignatureAlgorithms?.contains($0.rawValue) ?? true } ?? possible.first
        return chosen.map { PublicKeyAlgorithm($0, isCertificate: credential.identity.isCertificate) }
    }
}
