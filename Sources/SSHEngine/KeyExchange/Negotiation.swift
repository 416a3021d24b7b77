internal import SSHWire

/// A list of a KEXINIT, for the log.
package enum NegotiationField: String, Equatable, Sendable {
    case keyExchange = "key exchange method"
    case hostKey = "host key algorithm"
    case cipherClientToServer = "cipher from client to server"
    case cipherServerToClient = "cipher from server to client"
    case macClientToServer = "MAC from client to server"
    case macServerToClient = "MAC from server to client"
    case compression = "compression"
}

/// What two KEXINITs come to (RFC 4253 §7.1).
struct NegotiatedAlgorithms: Equatable, Sendable {
    let method: KeyExchangeMethod
    let keyExchangeName: String
    let hostKey: PublicKeyAlgorithm
    let clientToServer: PacketAlgorithm
    let serverToClient: PacketAlgorithm
    /// Whether the packet that the other side sends after its KEXINIT with `first_kex_packet_follows` was for another method.
    let clientGuessedWrong: Bool
    let serverGuessedWrong: Bool
}

/// Chooses: for each list, the client's first name that the server has too.
enum Negotiation {
    static func choose(client: KeyExchangeInitMessage, server: KeyExchangeInitMessage) throws(SSHError) -> NegotiatedAlgorithms {
        let keyExchange = try first(
            client.keyExchangeAlgorithms.filter { KeyExchangeMethod(name: $0) != nil }, server.keyExchangeAlgorithms, .keyExchange)
        guard let method = KeyExchangeMethod(name: keyExchange) else { throw SSHError(.noCommonAlgorithm(.keyExchange)) }
        let hostKeyName = try first(client.serverHostKeyAlgorithms, server.serverHostKeyAlgorithms, .hostKey)
        guard let hostKey = PublicKeyAlgorithm(name: hostKeyName) else { throw SSHError(.noCommonAlgorithm(.hostKey)) }
        let clientToServer = try packetAlgorithm(
            cipher: first(client.encryptionClientToServer, server.encryptionClientToServer, .cipherClientToServer),
            macs: (client.macClientToServer, server.macClientToServer), .macClientToServer)
        let serverToClient = try packetAlgorithm(
            cipher: first(client.encryptionServerToClient, server.encryptionServerToClient, .cipherServerToClient),
            macs: (client.macServerToClient, server.macServerToClient), .macServerToClient)
        _ = try first(client.compressionClientToServer, server.compressionClientToServer, .compression)
        _ = try first(client.compressionServerToClient, server.compressionServerToClient, .compression)

        // A guess is right when both sides like the same method and the same host key algorithm best.
        let sameFavourites =
            client.keyExchangeAlgorithms.first == server.keyExchangeAlgorithms.first
            && client.serverHostKeyAlgorithms.first == server.serverHostKeyAlgorithms.first
        return NegotiatedAlgorithms(
            method: method, keyExchangeName: keyExchange, hostKey: hostKey, clientToServer: clientToServer, serverToClient: serverToClient,
            clientGuessedWrong: client.firstKeyExchangePacketFollows && !sameFavourites,
            serverGuessedWrong: server.firstKeyExchangePacketFollows && !sameFavourites)
    }

    /// A server's list, put so that the client's choice falls on what the server likes best of what both have.
    ///
    /// The client's order decides (RFC 4253 §7.1), so the server names only its own best.
    static func favourite(of ours: [String], among theirs: [String]) -> [String] {
        guard let best = ours.first(where: { theirs.contains($0) }) else { return ours }
        return [best]
    }

    private static func first(_ client: [String], _ server: [String], _ field: NegotiationField) throws(SSHError) -> String {
        guard let name = client.first(where: { server.contains($0) }) else { throw SSHError(.noCommonAlgorithm(field)) }
        return name
    }

    private static func packetAlgorithm(
        cipher name: String, macs: (client: [String], server: [String]), _ field: NegotiationField
    ) throws(SSHError) -> PacketAlgorithm {
        if let whole = PacketAlgorithm(authenticatedCipher: name) { return whole }
        let mac = try first(macs.client, macs.server, field)
        guard let algorithm = PacketAlgorithm(cipher: name, mac: mac) else { throw SSHError(.noCommonAlgorithm(field)) }
        return algorithm
    }
}
