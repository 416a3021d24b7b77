// swift-tools-version: 6.2
import PackageDescription

/// Every target is compiled under the same rules: warnings are errors, and what is unsafe says so.
let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func library(_ name: String, _ dependencies: Target.Dependency...) -> Target {
    .target(name: name, dependencies: dependencies, exclude: [], swiftSettings: rules)
}

func program(_ name: String, _ dependencies: Target.Dependency...) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: rules)
}

func tests(_ name: String, _ dependencies: Target.Dependency...) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: rules)
}

func system(_ name: String, _ pkgConfig: String, _ debian: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([debian])])
}

/// The layers of the house, lowest first. `Tests/TidyTests/Layers.swift` holds every file's imports against the same table.
var targets: [Target] = [
    // C libraries: one importer each.
    system("CLibuv", "libuv", "libuv1-dev"),
    system("COpenSSL", "libcrypto", "libssl-dev"),
    // Its headers alone: what it brings is loaded at the first request, not at a program's start.
    .systemLibrary(name: "CLibcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    system("CLibwebsockets", "libwebsockets", "libwebsockets-dev"),
    system("CLibyaml", "yaml-0.1", "libyaml-dev"),
    system("CSQLite", "sqlite3", "libsqlite3-dev"),
    system("CQRencode", "libqrencode", "libqrencode-dev"),
    system("CLibssh2", "libssh2", "libssh2-1-dev"),
    // 1
    library("Base", log),
    library("Crypto", "COpenSSL", "Base"),
    library("EventLoop", "CLibuv", "Base", log),
    library("Limits", "Base"),
    // 2
    library("SSHWire", "Crypto", "Base"),
    library("Backend", "Base"),
    library("Programs", "EventLoop", "Base", arguments),
    library("HTTPClient", "CLibcurl", "EventLoop", "Base"),
    library("Libssh2Client", "CLibssh2", "Base"),
    // 3
    library("SSHEngine", "SSHWire", "Crypto", "Base"),
    library("ClusterModel", "SSHWire", "Crypto", "Base"),
    library("SFTP", "Base"),
    library("SQLiteBackend", "CSQLite", "Backend", "Base"),
    // 4
    library("SSHNet", "SSHEngine", "SSHWire", "EventLoop", "Limits", "Crypto", "Base", log),
    library("HTTPServer", "CLibwebsockets", "EventLoop", "Crypto", "Base", log),
    library("Config", "CLibyaml", "ClusterModel", "Base"),
    // 5
    library("Diagnostics", "HTTPServer", "ClusterModel", "EventLoop", "Base", log),
    library("AuthAPI", "ClusterModel", "HTTPClient", "EventLoop", "SSHWire", "Crypto", "Base", log),
    // 6
    library(
        "AuthService", "AuthAPI", "Backend", "ClusterModel", "Crypto", "EventLoop", "HTTPClient", "HTTPServer", "Limits", "SSHWire",
        "Base", log),
    library(
        "ReverseTunnel", "SSHNet", "SSHEngine", "SSHWire", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Limits", "Base", log),
    library(
        "NodeService", "SSHNet", "SSHEngine", "SSHWire", "SFTP", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Limits", "Base", log),
    library(
        "ClientKit", "SSHNet", "SSHEngine", "SSHWire", "SFTP", "AuthAPI", "HTTPClient", "Config", "ClusterModel", "EventLoop", "Crypto",
        "CQRencode", "Base", log),
    // 7
    library(
        "ProxyService", "SSHNet", "SSHEngine", "SSHWire", "HTTPServer", "ReverseTunnel", "AuthAPI", "ClusterModel", "EventLoop",
        "Crypto", "Limits", "Base", log),
    // 8
    program(
        "teleport", "Programs", "AuthService", "ProxyService", "NodeService", "ReverseTunnel", "SQLiteBackend", "AuthAPI", "Backend",
        "Config", "Diagnostics", "SSHNet", "SSHEngine", "SSHWire", "HTTPClient", "HTTPServer", "EventLoop", "Crypto", "ClusterModel",
        "Limits", "Base", log, arguments),
    program(
        "tctl", "Programs", "ClientKit", "AuthAPI", "Config", "HTTPClient", "EventLoop", "ClusterModel", "SSHWire", "Crypto", "Base", log,
        arguments),
    program(
        "tsh", "Programs", "ClientKit", "AuthAPI", "HTTPClient", "EventLoop", "ClusterModel", "SSHWire", "Crypto", "Base", log, arguments),
]

targets += [
    .executableTarget(
        name: "Benchmarks", dependencies: ["ClusterHarness", "ReverseTunnel", "SSHEngine", "SSHWire", "EventLoop", "Crypto", "Base"],
        path: "Tests/Benchmarks", swiftSettings: rules),
    .executableTarget(
        name: "teleport-load",
        dependencies: [
            "Programs", "ReverseTunnel", "SSHNet", "SSHEngine", "SSHWire", "ClusterModel", "EventLoop", "Crypto", "Base", arguments,
        ],
        path: "Tests/Load", swiftSettings: rules),
    // Prometheus' text format read back, for the tests that look at figures.
    .target(name: "MetricsReader", path: "Tests/MetricsReader", swiftSettings: rules),
    tests("BaseTests", "MetricsReader", "Base", log),
    tests("CryptoTests", "Crypto", "Base"),
    tests("LimitsTests", "Limits", "Base"),
    tests("SSHWireTests", "SSHWire", "Crypto", "Base"),
    tests("SSHEngineTests", "SSHEngine", "SSHWire", "Crypto", "Base"),
    tests("SFTPTests", "SFTP", "Base"),
    tests("EventLoopTests", "EventLoop", "Base"),
    tests("SSHNetTests", "MetricsReader", "SSHNet", "SSHEngine", "SSHWire", "EventLoop", "Limits", "Crypto", "Base"),
    tests("StoreContractTests", "SQLiteBackend", "Backend", "Base"),
    tests("ClusterModelTests", "ClusterModel", "SSHWire", "Crypto", "Base"),
    tests("AuthAPITests", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Base", log),
    tests(
        "AuthServiceTests", "AuthService", "AuthAPI", "Backend", "ClusterModel", "SSHWire", "SSHEngine", "EventLoop", "Crypto", "Base", log),
    tests("ConfigTests", "Config", "ClusterModel", "Base"),
    tests("HTTPServerTests", "HTTPServer", "HTTPClient", "EventLoop", "Crypto", "Base", log),
    tests("DiagnosticsTests", "MetricsReader", "Diagnostics", "HTTPClient", "EventLoop", "Base", log),
    tests("TidyTests"),
    tests("ExamplesTests", "Config"),
    // The session child of a node under test: the node's own program, which the tests are not.
    .executableTarget(name: "SessionChildProgram", dependencies: ["NodeService"], path: "Tests/SessionChildProgram", swiftSettings: rules),
    tests(
        "NodeServiceTests", "NodeService", "MetricsReader", "SessionChildProgram", "AuthAPI", "SSHNet", "SSHEngine", "SSHWire", "SFTP",
        "ClusterModel",
        "EventLoop",
        "Crypto", "Base", log),
    tests(
        "ClientKitTests", "ClientKit", "Programs", "ClusterModel", "SSHNet", "SSHEngine", "SSHWire", "EventLoop", "Crypto", "Base",
        arguments),
    tests(
        "ReverseTunnelTests", "ReverseTunnel", "SSHNet", "SSHEngine", "SSHWire", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Base"),
    tests(
        "ProxyServiceTests", "ProxyService", "ReverseTunnel", "SSHNet", "SSHEngine", "SSHWire", "ClusterModel", "EventLoop", "Crypto",
        "Base", log),
    // The programs themselves, as people run them: topologies of real processes, for the two targets below.
    .target(
        name: "ClusterHarness", dependencies: ["Config", "ClusterModel", "EventLoop", "Crypto", "Base"], path: "Tests/ClusterHarness",
        swiftSettings: rules),
    tests(
        "ClusterTests", "ClusterHarness", "MetricsReader", "Diagnostics", "AuthAPI", "teleport", "tctl", "tsh", "HTTPClient", "Config",
        "ClusterModel",
        "EventLoop",
        "Crypto", "Base"),
    tests(
        "InteropTests", "ClusterHarness", "Libssh2Client", "teleport", "tctl", "tsh", "Config", "ClusterModel", "SSHWire", "EventLoop",
        "Crypto", "Base"),
]

// Fuzzers exist only with FUZZ=1: they need libFuzzer, and its coverage in every target (`make fuzz`).
if Context.environment["FUZZ"] == "1" {
    let instrumented = rules + [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])]
    for target in targets where target.type != .system { target.swiftSettings = instrumented }
    targets += [
        .systemLibrary(name: "CLibFuzzer", path: "Tests/CLibFuzzer"),
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CLibFuzzer", "ProxyService", "ReverseTunnel", "AuthAPI", "Config", "ClusterModel", "SFTP", "SSHEngine", "SSHWire",
                "Crypto", "Base",
            ],
            path: "Tests/Fuzz", swiftSettings: instrumented + [.unsafeFlags(["-parse-as-library"])],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]),
    ]
}

let package = Package(
    name: "teleport",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: targets
)
