internal import Base
internal import ClusterModel
internal import EventLoop

/// The saved state of the cluster: one JSON file, replaced whole. For the worker pool.
struct CacheFile: Sendable {
    let path: String

    /// nil where nothing was saved yet.
    func load() throws -> ClusterState? {
        guard try FileIO.status(path) != nil else { return nil }
        return try JSONText.decode(ClusterState.self, from: try FileIO.read(path, max: Endpoints.responseBytesMax))
    }

    func save(_ state: ClusterState) throws {
        try FileIO.write(try JSONText.encodeBytes(state), to: path)
    }
}
