import Base
import SSHWire
import Testing

@Suite("RFC 4254 §6 session requests")
struct SessionRequestTests {
    static let requests: [SessionRequest] = [
        .pseudoTerminal(
            PseudoTerminalRequest(
                terminal: "xterm-256color", size: WindowSize(columns: 80, rows: 24, widthPixels: 640, heightPixels: 480),
                modes: TerminalModes([.init(opcode: 53, value: 1), .init(opcode: TerminalModes.Opcode.inputSpeed, value: 38400)]))),
        .environment(name: "LC_ALL", value: "de_DE.UTF-8"), .shell, .exec(command: [0xff, 0x41]), .subsystem(name: "proxy:db1:22@east"),
        .windowChange(WindowSize(columns: 1, rows: 2)), .signal(name: "INT"), .breakSignal(milliseconds: 500), .exitStatus(255),
        .exitSignal(name: "SEGV", coreDumped: true, message: "oh"), .endOfWrite, .agentForwarding,
        .other(type: "x11-req", payload: [1, 2, 3]),
    ]

    @Test(arguments: requests)
    func `a request that is written reads as itself`(request: SessionRequest) throws {
        #expect(try SessionRequest(type: request.type, payload: request.payload()) == request)
    }

    @Test(arguments: requests.dropLast())
    func `a request cut anywhere, or with a byte too many, is refused`(request: SessionRequest) {
        let payload = request.payload()
        for count in 0..<payload.count {
            #expect(throws: WireError.self) { try SessionRequest(type: request.type, payload: Array(payload[..<count])) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try SessionRequest(type: request.type, payload: payload + [0]) }
    }

    @Test(arguments: [
        SessionRequest.exec(command: [65, 0, 66]), .environment(name: "A=B", value: ""), .environment(name: "", value: "x"),
        .environment(name: "A", value: "x\0y"), .subsystem(name: "sf\0tp"), .subsystem(name: "a\nb"), .signal(name: "IN T"),
        .pseudoTerminal(PseudoTerminalRequest(terminal: "\u{1b}]0;x\u{7}", size: WindowSize(columns: 1, rows: 1))),
    ])
    func `what could reach a system call or a log line wrongly is refused`(request: SessionRequest) {
        #expect(throws: WireError.self) { try SessionRequest(type: request.type, payload: request.payload()) }
    }
}

@Suite("RFC 4254 §5.1, §7 channel types")
struct ChannelOpenTypeTests {
    static let endpoints = ChannelOpenType.TCPIPEndpoints(host: "::1", port: 22, originatorAddress: "127.0.0.1", originatorPort: 65535)
    static let types: [ChannelOpenType] = [
        .session, .agent, .directTCPIP(endpoints), .forwardedTCPIP(endpoints), .directStreamLocal(path: "/run/x.sock"),
        .forwardedStreamLocal(path: "/run/x.sock"), .transport(destination: #"{"host":"db1","port":22}"#),
        .other(type: "x11", payload: [1]),
    ]

    @Test(arguments: types)
    func `a type that is written reads as itself`(type: ChannelOpenType) throws {
        #expect(try ChannelOpenType(type: type.type, payload: type.payload()) == type)
    }

    @Test(arguments: types.dropLast())
    func `a byte too many is refused`(type: ChannelOpenType) {
        #expect(throws: WireError.trailingBytes(1)) { try ChannelOpenType(type: type.type, payload: type.payload() + [0]) }
    }

    @Test func `a port above 65535 is refused`() throws {
        var payload = ChannelOpenType.directTCPIP(Self.endpoints).payload()
        #expect(try ChannelOpenType(type: "direct-tcpip", payload: payload) == .directTCPIP(Self.endpoints))
        payload[8] = 1
        #expect(throws: WireError.badValue("port")) { try ChannelOpenType(type: "direct-tcpip", payload: payload) }
    }
}

@Suite("RFC 4254 §4, §7.1 global requests")
struct GlobalRequestTypeTests {
    static let requests: [GlobalRequestType] = [
        .tcpipForward(address: "localhost", port: 0), .cancelTCPIPForward(address: "", port: 65535), .keepalive,
        .streamLocalForward(path: "/run/x.sock"), .cancelStreamLocalForward(path: "/run/x.sock"), .noMoreSessions,
        .hostKeys([]), .hostKeys([[1], [2, 3]]), .hostKeysProve([[1], [2, 3]]), .other(name: "elevate", payload: []),
    ]

    @Test(arguments: requests)
    func `a request that is written reads as itself`(request: GlobalRequestType) throws {
        #expect(try GlobalRequestType(name: request.name, payload: request.payload()) == request)
    }

    @Test func `a keepalive may carry anything`() throws {
        #expect(try GlobalRequestType(name: "keepalive@openssh.com", payload: [1, 2]) == .keepalive)
    }

    @Test func `what a host key is proven over is the session and the key`() {
        let proof = GlobalRequestType.hostKeyProof(of: [7, 8], sessionIdentifier: [9])
        #expect(proof == [0, 0, 0, 29] + Array("hostkeys-prove-00@openssh.com".utf8) + [0, 0, 0, 1, 9, 0, 0, 0, 2, 7, 8])
    }

    @Test func `a forward's address with a line end is refused`() {
        let request = GlobalRequestType.tcpipForward(address: "a\nb", port: 1)
        #expect(throws: WireError.badValue("control character")) { try GlobalRequestType(name: request.name, payload: request.payload()) }
    }
}

@Suite("RFC 4254 §8 terminal modes")
struct TerminalModesTests {
    @Test func `modes are opcodes with a number each, ended by a zero`() throws {
        let modes = TerminalModes([.init(opcode: 1, value: 3), .init(opcode: 129, value: 0x0001_0203)])
        #expect(modes.encoded() == [1, 0, 0, 0, 3, 129, 0, 1, 2, 3, 0])
        #expect(try TerminalModes(decoding: modes.encoded()) == modes)
        #expect(modes[129] == 0x0001_0203)
        #expect(modes[2] == nil)
    }

    @Test func `the later of two of one opcode counts`() {
        #expect(TerminalModes([.init(opcode: 1, value: 3), .init(opcode: 1, value: 4)])[1] == 4)
    }

    @Test(arguments: [[0], [0, 1, 2], [160, 1], [255], []] as [[UInt8]])
    func `the end, an undefined opcode and nothing at all end the modes`(bytes: [UInt8]) throws {
        #expect(try TerminalModes(decoding: bytes).modes.isEmpty)
        #expect(try TerminalModes(decoding: [159, 0, 0, 0, 1] + bytes).modes.count == 1)
    }

    @Test(arguments: [[1], [1, 0], [1, 0, 0, 0]] as [[UInt8]])
    func `a number that is cut is refused`(bytes: [UInt8]) {
        #expect(throws: WireError.self) { try TerminalModes(decoding: bytes) }
    }

    @Test func `there are at most 160 modes`() throws {
        let mode = TerminalModes.Mode(opcode: 1, value: 0)
        #expect(try TerminalModes(decoding: TerminalModes(.init(repeating: mode, count: 160)).encoded()).modes.count == 160)
        #expect(throws: WireError.tooLong(161)) { try TerminalModes(decoding: TerminalModes(.init(repeating: mode, count: 161)).encoded()) }
    }
}

@Suite("Offered algorithms")
struct AlgorithmNamesTests {
    @Test func `nothing that is offered is SHA-1, CBC or finite-field with small groups`() {
        let all =
            AlgorithmNames.keyExchange + AlgorithmNames.ciphers + AlgorithmNames.macs
            + AlgorithmNames.clientHostKeys + AlgorithmNames.serverSignatureAlgorithms
        for name in all { #expect(!name.contains("sha1") && !name.contains("cbc") && name != "ssh-rsa" && name != "ssh-dss") }
    }

    @Test func `certificates come before bare host keys, Ed25519 first`() {
        #expect(AlgorithmNames.clientHostKeys.prefix(1) == ["ssh-ed25519-cert-v01@openssh.com"])
        #expect(AlgorithmNames.clientHostKeys[6] == "ssh-ed25519")
    }

    @Test func `a public key algorithm's name tells signature and certificate`() {
        for signature in SignatureAlgorithm.allCases {
            for isCertificate in [false, true] {
                let algorithm = PublicKeyAlgorithm(signature, isCertificate: isCertificate)
                #expect(PublicKeyAlgorithm(name: algorithm.name) == algorithm)
            }
        }
        for name in ["ssh-rsa", "ssh-rsa-cert-v01@openssh.com", "ssh-dss", ""] { #expect(PublicKeyAlgorithm(name: name) == nil) }
    }
}
