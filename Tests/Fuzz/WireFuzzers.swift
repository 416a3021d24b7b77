import Base
import Crypto
import SSHWire

private func roundTrip<Message: SSHMessage>(_ type: Message.Type, _ payload: [UInt8]) {
    guard let message = try? Message(payload: payload) else { return }
    expectSame(message, try? Message(payload: message.payload()), "\(type)")
}

/// Each message type, by the message number that the input begins with.
func fuzzMessages(_ payload: [UInt8]) {
    guard let first = payload.first, let number = MessageNumber(rawValue: first) else { return }
    switch number {
    case .disconnect: roundTrip(DisconnectMessage.self, payload)
    case .ignore: roundTrip(IgnoreMessage.self, payload)
    case .unimplemented: roundTrip(UnimplementedMessage.self, payload)
    case .debug: roundTrip(DebugMessage.self, payload)
    case .serviceRequest: roundTrip(ServiceRequestMessage.self, payload)
    case .serviceAccept: roundTrip(ServiceAcceptMessage.self, payload)
    case .extensionInfo: roundTrip(ExtensionInfoMessage.self, payload)
    case .keyExchangeInit: roundTrip(KeyExchangeInitMessage.self, payload)
    case .newKeys: roundTrip(NewKeysMessage.self, payload)
    case .keyExchangeECDHInit: roundTrip(KeyExchangeECDHInitMessage.self, payload)
    case .keyExchangeECDHReply: roundTrip(KeyExchangeECDHReplyMessage.self, payload)
    case .userAuthRequest: roundTrip(UserAuthRequestMessage.self, payload)
    case .userAuthFailure: roundTrip(UserAuthFailureMessage.self, payload)
    case .userAuthSuccess: roundTrip(UserAuthSuccessMessage.self, payload)
    case .userAuthBanner: roundTrip(UserAuthBannerMessage.self, payload)
    case .userAuthPublicKeyOK: roundTrip(UserAuthPublicKeyOKMessage.self, payload)
    case .globalRequest: roundTrip(GlobalRequestMessage.self, payload)
    case .requestSuccess: roundTrip(RequestSuccessMessage.self, payload)
    case .requestFailure: roundTrip(RequestFailureMessage.self, payload)
    case .channelOpen: roundTrip(ChannelOpenMessage.self, payload)
    case .channelOpenConfirmation: roundTrip(ChannelOpenConfirmationMessage.self, payload)
    case .channelOpenFailure: roundTrip(ChannelOpenFailureMessage.self, payload)
    case .channelWindowAdjust: roundTrip(ChannelWindowAdjustMessage.self, payload)
    case .channelData, .channelExtendedData:
        guard let header = try? ChannelDataHeader(payload: payload.span) else { return }
        precondition(header.data.lowerBound >= ChannelDataHeader.plainBytes && header.data.upperBound == payload.count)
    case .channelEOF: roundTrip(ChannelEOFMessage.self, payload)
    case .channelClose: roundTrip(ChannelCloseMessage.self, payload)
    case .channelRequest: roundTrip(ChannelRequestMessage.self, payload)
    case .channelSuccess: roundTrip(ChannelSuccessMessage.self, payload)
    case .channelFailure: roundTrip(ChannelFailureMessage.self, payload)
    }
}

func fuzzNameList(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes.span)
    guard let names = try? reader.readNameList() else { return }
    var writer = ByteWriter()
    writer.writeNameList(names)
    if writer.finish() != Array(bytes[..<reader.offset]) { fatalError("a name-list is written otherwise than it was read") }
}

/// The answer of a SOCKS server, in pieces.
func fuzzSocksAnswer(_ bytes: [UInt8]) {
    var choices = Choices(bytes)
    var connect = SocksConnect(host: "db1", port: 22)
    let size = 1 + choices.number(below: 16)
    var rest = choices.rest()[...]
    while !rest.isEmpty {
        let piece = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        do throws(SocksConnect.Refusal) {
            guard let count = try connect.receive(piece.span) else { continue }
            precondition((1...piece.count).contains(count), "an answer ends outside of what came")
            return
        } catch {
            precondition(!error.explanation.isEmpty)
            return
        }
    }
}

func fuzzTerminalModes(_ bytes: [UInt8]) {
    guard let modes = try? TerminalModes(decoding: bytes) else { return }
    expectSame(modes, try? TerminalModes(decoding: modes.encoded()), "terminal modes")
}

/// What follows the type in channel opens, channel requests and global requests.
func fuzzChannelTypes(_ bytes: [UInt8]) {
    var choices = Choices(bytes)
    switch choices.number(below: 3) {
    case 0:
        let types = [
            "session", "direct-tcpip", "forwarded-tcpip", "direct-streamlocal@openssh.com", "forwarded-streamlocal@openssh.com",
            "teleport-transport", "x",
        ]
        let type = types[choices.number(below: types.count)]
        guard let open = try? ChannelOpenType(type: type, payload: choices.rest()) else { return }
        expectSame(open, try? ChannelOpenType(type: open.type, payload: open.payload()), type)
    case 1:
        let types = [
            "pty-req", "env", "shell", "exec", "subsystem", "window-change", "signal", "exit-status", "exit-signal", "break",
            "auth-agent-req@openssh.com", "eow@openssh.com", "x",
        ]
        let type = types[choices.number(below: types.count)]
        guard let request = try? SessionRequest(type: type, payload: choices.rest()) else { return }
        expectSame(request, try? SessionRequest(type: request.type, payload: request.payload()), type)
    default:
        let names = [
            "tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com",
            "no-more-sessions@openssh.com", "keepalive@openssh.com", "hostkeys-00@openssh.com", "hostkeys-prove-00@openssh.com", "x",
        ]
        let name = names[choices.number(below: names.count)]
        guard let request = try? GlobalRequestType(name: name, payload: choices.rest()) else { return }
        expectSame(request, try? GlobalRequestType(name: request.name, payload: request.payload()), name)
    }
}

/// Well-formed keys and what is made of them, the same in every run.
private enum Samples {
    static let ed25519 = PrivateKey.generate(randomness: SeededRandomness(seed: 1))
    static let ecdsa = try? PrivateKey(generating: .ecdsaP256, randomness: SeededRandomness(seed: 2))
    static let publicKeys: [[UInt8]] = {
        var rsa = ByteWriter()
        rsa.writeText("ssh-rsa")
        rsa.writeMPInt([1, 0, 1])
        rsa.writeMPInt([0x80] + SeededRandomness(seed: 3).bytes(254) + [1])
        return [ed25519.publicKey.blob, ecdsa?.publicKey.blob ?? [], rsa.finish()]
    }()
    static let certificates: [[UInt8]] = [ed25519, ecdsa].compactMap { key in
        guard let key else { return nil }
        let request = CertificateSigner.Request(
            kind: .user, publicKey: key.publicKey, keyID: "alice", validPrincipals: ["root", "alice"], validAfter: UnixTime(seconds: 1),
            validBefore: UnixTime(seconds: 2_000_000_000),
            criticalOptions: CertificateOptions(values: [CriticalOption.sourceAddress: "127.0.0.0/8"]),
            extensions: CertificateOptions(flags: [CertificateExtension.permitPTY], values: [CertificateExtension.roles: "[]"]))
        return try? CertificateSigner(key: ed25519, randomness: SeededRandomness(seed: 4)).sign(request).blob
    }
    static let keyFiles: [[UInt8]] = [ed25519, ecdsa].compactMap { key in
        guard let key else { return nil }
        let lines = PrivateKeyFile(key: key, comment: "alice").text(randomness: SeededRandomness(seed: 5)).split(separator: "\n")
        return Base64.decode(lines.dropFirst().dropLast().joined())
    }
    static let knownHosts = [
        "node,[10.0.0.1]:2222 \(ed25519.publicKey.text(comment: "x"))", "@cert-authority *.east,!db? \(ed25519.publicKey.text())",
        "no-pty,command=\"a b\" \(ed25519.publicKey.text(comment: "x"))",
    ].map { Array($0.utf8) }
    static let x509: [[UInt8]] = {
        let key = ECDSA.PrivateKey.generate(.nistp256, randomness: SeededRandomness(seed: 6))
        let template = CertificateTemplate(
            commonName: "hub", organizations: ["Proxy"], organizationalUnits: ["hub"], dnsNames: ["hub.example"],
            ipAddresses: ["127.0.0.1"],
            notBefore: UnixTime(seconds: 1_700_000_000), notAfter: UnixTime(seconds: 1_900_000_000), isAuthority: true, uses: [.client])
        let certificate = try? CertificateIssuer.selfSigned(template, key: key, randomness: SeededRandomness(seed: 7))
        return [certificate?.der ?? [], key.publicKey.der]
    }()
}

func fuzzPublicKey(_ input: [UInt8]) {
    let bytes = edited(input, Samples.publicKeys)
    if let key = try? PublicKey(blob: bytes) {
        if key.blob != bytes { fatalError("a key is another than its blob") }
        expectSame(key, try? PublicKey(text: key.text()), "a public key")
        try? key.verify(Signature(key.type.signatureAlgorithms[0], bytes: Array(bytes.prefix(64))), over: bytes)
    }
    if let signature = try? Signature(decoding: bytes) {
        expectSame(signature, try? Signature(decoding: signature.encoded()), "a signature")
    }
    if let key = try? PublicKey(text: String(decoding: bytes, as: UTF8.self)) {
        expectSame(key, try? PublicKey(text: key.text()), "a public key's text")
    }
}

func fuzzCertificate(_ input: [UInt8]) {
    let bytes = edited(input, Samples.certificates)
    guard let certificate = try? Certificate(blob: bytes) else { return }
    if certificate.blob != bytes { fatalError("a certificate is another than its blob") }
    expectSame(certificate, try? Certificate(text: certificate.text()), "a certificate")
    try? certificate.verifySignature()
}

func fuzzAgent(_ bytes: [UInt8]) {
    if let request = try? AgentRequest(message: bytes) {
        let framed = request.framed()
        if (try? AgentRequest(message: Array(framed.dropFirst(4)))) == nil { fatalError("a request to an agent is not read again") }
    }
    if let response = try? AgentResponse(message: bytes) {
        expectSame(response, try? AgentResponse(message: Array(response.framed().dropFirst(4))), "an agent's response")
    }
}

func fuzzKeyFile(_ input: [UInt8]) {
    let bytes = edited(input, Samples.keyFiles)
    let texts = ["OPENSSH PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"].map {
        "-----BEGIN \($0)-----\n\(Base64.encode(bytes))\n-----END \($0)-----\n"
    }
    for text in texts + [String(decoding: input, as: UTF8.self)] {
        guard let file = try? PrivateKeyFile(text: text) else { continue }
        let again = try? PrivateKeyFile(text: file.text(randomness: SeededRandomness(seed: 1)))
        expectSame(file.key.publicKey, again?.key.publicKey, "a key file")
    }
}

func fuzzKnownHosts(_ input: [UInt8]) {
    let text = String(decoding: edited(input, Samples.knownHosts), as: UTF8.self)
    if let line = try? KnownHostsLine(line: text) {
        expectSame(line, try? KnownHostsLine(line: line.line), "a known_hosts line")
        _ = line.matches(host: "node.east")
    }
    if let line = try? AuthorizedKey(line: text) {
        expectSame(line, try? AuthorizedKey(line: line.line), "an authorized_keys line")
    }
    let hosts = KnownHosts(text: text)
    expectSame(hosts.lines, KnownHosts(text: hosts.text).lines, "a known_hosts file")
}

func fuzzX509(_ input: [UInt8]) {
    let bytes = edited(input, Samples.x509)
    if let certificate = try? X509Certificate(der: bytes) {
        expectSame(certificate, try? X509Certificate(pem: certificate.pem), "an X.509 certificate")
        _ = try? CertificateChain.verify(certificate, authorities: [certificate], use: .client, at: UnixTime(seconds: 1_800_000_000))
    }
    if let key = try? ECDSA.PublicKey(der: bytes) { expectSame(key, try? ECDSA.PublicKey(der: key.der), "a SubjectPublicKeyInfo") }
    let text = String(decoding: bytes, as: UTF8.self)
    _ = try? X509Certificate.all(pem: text)
    _ = try? PrivateKeyPEM(pem: text)
}

func fuzzAddress(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let address = IPAddress(text) { expectSame(address, IPAddress("\(address)"), "an address") }
    if let address = SocketAddress(text) { expectSame(address, SocketAddress("\(address)"), "a socket address") }
    if let bytes = Base64.decode(text) { expectSame(bytes, Base64.decode(Base64.encode(bytes)), "base 64") }
    if let bytes = Hex.decode(text) { expectSame(bytes, Hex.decode(Hex.encode(bytes)), "hex") }
}

/// A conversation with a SOCKS proxy, in pieces as the first bytes say: whatever is cut where, the outcome is that of the whole.
func fuzzSocks(_ input: [UInt8]) {
    var choices = Choices(input)
    let pieces = (0..<4).map { _ in choices.number(below: 32) }
    let bytes = choices.rest()
    func outcome(_ cuts: [Int]) -> (output: [UInt8], request: SocksRequest?, rest: [UInt8])? {
        var negotiation = SocksNegotiation()
        var output: [UInt8] = []
        var rest = bytes[...]
        var cuts = cuts[...]
        while !rest.isEmpty {
            let count = cuts.popFirst() ?? rest.count
            guard let step = try? negotiation.receive(Array(rest.prefix(count)).span) else { return nil }
            rest = rest.dropFirst(count)
            output += step.output
            if let request = step.request { return (output, request, step.rest + rest) }
        }
        return (output, nil, [])
    }
    let (whole, cut) = (outcome([]), outcome(pieces))
    if whole?.request != cut?.request || whole?.rest != cut?.rest { fatalError("a cut changes a SOCKS request") }
    if let request = whole?.request, request.host.isEmpty { fatalError("a SOCKS request without a host") }
}
