package import Base
package import ClusterModel
internal import EventLoop

/// The private halves of a cluster's authorities in a file of the auth server's own host, mode 0600: for its administrator alone, as no call
/// of the API gives them. For the worker pool.
package enum LocalAuthorities {
    private static let fileBytesMax = 1 << 20

    /// - Parameter dataDirectory: `DATA_DIR`.
    package static func save(_ secrets: [AuthoritySecrets], dataDirectory: String) throws(TeleportError) {
        let bytes: [UInt8]
        do { bytes = try JSONText.encodeBytes(secrets) } catch {
            throw .badParameter("the authorities cannot be written as JSON", cause: error)
        }
        try FileIO.write(bytes, to: path(dataDirectory), mode: 0o600)
    }

    package static func load(dataDirectory: String) throws(TeleportError) -> [AuthoritySecrets] {
        let path = path(dataDirectory)
        guard try FileIO.status(path) != nil else {
            throw .notFound("\(path) is not there: private keys are on the auth server's host alone")
        }
        let bytes = try FileIO.read(path, max: fileBytesMax)
        do { return try JSONText.decode([AuthoritySecrets].self, from: bytes) } catch {
            throw .badParameter("\(path) cannot be read", cause: error)
        }
    }

    private static func path(_ dataDirectory: String) -> String { "\(dataDirectory)/authorities.json" }
}
