package import Base
package import SSHEngine

/// What a connection is made with; one value serves any number of them.
package struct ConnectionConfiguration: Sendable {
    package var engine: EngineConfiguration
    package var randomness: any Randomness
    /// nil: a silent peer stays.
    package var keepAlive: KeepAlive.Options?

    package init(
        engine: EngineConfiguration, randomness: any Randomness,
        keepAlive: KeepAlive.Options? = KeepAlive.Options(interval: .seconds(30), missesMax: 3)
    ) {
        self.engine = engine
        self.randomness = randomness
        self.keepAlive = keepAlive
    }
}
