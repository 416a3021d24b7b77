import Base
import SSHWire
import Testing

@Suite("PROTOCOL.agent messages")
struct AgentMessageTests {
    static let randomness = SeededRandomness(seed: 5)

    @Test(arguments: [
        AgentResponse.failure, .success, .identities([]), .identities([.init(key: [1, 2], comment: "c"), .init(key: [], comment: "")]),
        .signature([1, 2, 3]), .other(29),
    ])
    func `an answer that is written reads as itself`(response: AgentResponse) throws {
        let framed = response.framed()
        #expect(framed.count == 4 + Int(framed[3]))
        #expect(try AgentResponse(message: Array(framed.dropFirst(4))) == response)
    }

    @Test func `requests are the bytes of the protocol`() throws {
        #expect(AgentRequest.requestIdentities.framed() == [0, 0, 0, 1, 11])
        #expect(AgentRequest.removeAll.framed() == [0, 0, 0, 1, 19])
        #expect(AgentRequest.remove(key: [7]).framed() == [0, 0, 0, 6, 18, 0, 0, 0, 1, 7])
        let sign = AgentRequest.sign(key: [7], data: [8, 9], flags: AgentRequest.flags(for: .rsaSHA512)).framed()
        #expect(sign == [0, 0, 0, 16, 13, 0, 0, 0, 1, 7, 0, 0, 0, 2, 8, 9, 0, 0, 0, 4])
        guard case .sign(let key, let data, let flags) = try AgentRequest(message: Array(sign.dropFirst(4))) else {
            Issue.record("not a sign request")
            return
        }
        #expect(key == [7] && data == [8, 9] && flags == 4)
    }

    @Test(arguments: KeyKind.all)
    func `a key with its certificate is given to an agent and read by one`(kind: KeyKind) throws {
        let key = try PrivateKey(generating: kind.type, rsaBits: 2048, randomness: Self.randomness)
        let certificate = try CertificateSigner(key: key, randomness: Self.randomness).sign(
            CertificateSigner.Request(
                kind: .user, publicKey: key.publicKey, keyID: "a", validPrincipals: ["b"], validAfter: UnixTime(seconds: 1),
                validBefore: UnixTime(seconds: 2)))
        for identity in [
            AgentIdentity(key: key, comment: "plain"), AgentIdentity(key: key, certificate: certificate, comment: "certified"),
            AgentIdentity(key: key, certificate: certificate, comment: "c", lifetime: 60, confirms: true),
        ] {
            let framed = AgentRequest.add(identity).framed()
            #expect(framed[4] == (identity.lifetime == nil ? 17 : 25))
            guard case .add(let read) = try AgentRequest(message: Array(framed.dropFirst(4))) else {
                Issue.record("not an add request")
                return
            }
            #expect(read.key.publicKey == key.publicKey && read.certificate == identity.certificate)
            #expect(read.comment == identity.comment && read.lifetime == identity.lifetime && read.confirms == identity.confirms)
            // Constraints are all that may be missing.
            let constraintBytes = identity.lifetime == nil ? 0 : 6
            for count in 4..<framed.count - constraintBytes {
                #expect(throws: KeyError.self) { try AgentRequest(message: Array(framed[4..<count])) }
            }
        }
    }

    @Test func `a certificate with another key is refused`() throws {
        let key = PrivateKey.generate(randomness: Self.randomness)
        let other = PrivateKey.generate(randomness: Self.randomness)
        let certificate = try CertificateSigner(key: key, randomness: Self.randomness).sign(
            CertificateSigner.Request(
                kind: .user, publicKey: key.publicKey, keyID: "a", validPrincipals: ["b"], validAfter: UnixTime(seconds: 1),
                validBefore: UnixTime(seconds: 2)))
        let framed = AgentRequest.add(AgentIdentity(key: other, certificate: certificate, comment: "")).framed()
        #expect(throws: KeyError.invalidKey) { try AgentRequest(message: Array(framed.dropFirst(4))) }
    }

    @Test(arguments: [[], [12, 0, 0], [12, 0, 0, 8, 1], [12, 0, 0, 0, 1], [14, 0, 0, 0, 2, 1], [5, 0]] as [[UInt8]])
    func `a malformed answer is refused`(message: [UInt8]) {
        #expect(throws: WireError.self) { try AgentResponse(message: message) }
    }

    @Test(arguments: [[], [13, 0, 0, 0, 0], [18], [11, 0], [25, 0, 0, 0, 1, 65]] as [[UInt8]])
    func `a malformed request is refused`(message: [UInt8]) {
        #expect(throws: KeyError.self) { try AgentRequest(message: message) }
    }

    @Test func `an unknown request is read as such, to be answered by a failure`() throws {
        guard case .other(27) = try AgentRequest(message: [27, 1, 2, 3]) else {
            Issue.record("not another request")
            return
        }
    }
}
