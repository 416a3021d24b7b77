/// The layers of the house, lowest first. A target imports targets of lower layers only; `Base` is under all.
let layers: [[String]] = [
    ["Base"],
    ["Crypto", "EventLoop", "Limits"],
    ["SSHWire", "Backend", "Programs", "HTTPClient", "Libssh2Client"],
    ["SSHEngine", "ClusterModel", "SFTP", "SQLiteBackend"],
    ["SSHNet", "HTTPServer", "Config"],
    ["AuthAPI", "Diagnostics"],
    ["AuthService", "ReverseTunnel", "NodeService", "ClientKit"],
    ["ProxyService"],
    ["teleport", "tctl", "tsh"],
]

/// What each target may import, beside the standard library and the system modules below.
let allowedImports: [String: Set<String>] = [
    "Base": ["Logging"],
    "Crypto": ["COpenSSL", "Base"],
    "EventLoop": ["CLibuv", "Base", "Logging"],
    "Limits": ["Base"],
    "SSHWire": ["Crypto", "Base"],
    "Backend": ["Base"],
    "Programs": ["EventLoop", "Base", "ArgumentParser"],
    "HTTPClient": ["CLibcurl", "EventLoop", "Base"],
    "Libssh2Client": ["CLibssh2", "Base"],
    "SSHEngine": ["SSHWire", "Crypto", "Base"],
    "ClusterModel": ["SSHWire", "Crypto", "Base"],
    "SFTP": ["Base"],
    "SQLiteBackend": ["CSQLite", "Backend", "Base"],
    "SSHNet": ["SSHEngine", "SSHWire", "EventLoop", "Limits", "Crypto", "Base", "Logging"],
    "HTTPServer": ["CLibwebsockets", "EventLoop", "Crypto", "Base", "Logging"],
    "Config": ["CLibyaml", "ClusterModel", "Base"],
    "Diagnostics": ["HTTPServer", "ClusterModel", "EventLoop", "Base", "Logging"],
    "AuthAPI": ["ClusterModel", "HTTPClient", "EventLoop", "SSHWire", "Crypto", "Base", "Logging"],
    "AuthService": [
        "AuthAPI", "Backend", "ClusterModel", "Crypto", "EventLoop", "HTTPClient", "HTTPServer", "Limits", "SSHWire", "Base", "Logging",
    ],
    "ReverseTunnel": [
        "SSHNet", "SSHEngine", "SSHWire", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Limits", "Base", "Logging",
    ],
    "NodeService": [
        "SSHNet", "SSHEngine", "SSHWire", "SFTP", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Limits", "Base", "Logging",
    ],
    "ClientKit": [
        "SSHNet", "SSHEngine", "SSHWire", "SFTP", "AuthAPI", "HTTPClient", "Config", "ClusterModel", "EventLoop", "Crypto", "CQRencode",
        "Base", "Logging",
    ],
    "ProxyService": [
        "SSHNet", "SSHEngine", "SSHWire", "HTTPServer", "ReverseTunnel", "AuthAPI", "ClusterModel", "EventLoop", "Crypto", "Limits",
        "Base", "Logging",
    ],
    "teleport": [
        "Programs", "AuthService", "ProxyService", "NodeService", "ReverseTunnel", "SQLiteBackend", "AuthAPI", "Backend", "Config",
        "Diagnostics", "SSHNet", "SSHEngine", "SSHWire", "HTTPClient", "HTTPServer", "EventLoop", "Crypto", "ClusterModel", "Limits",
        "Base", "Logging",
        "ArgumentParser",
    ],
    "tctl": [
        "Programs", "ClientKit", "AuthAPI", "Config", "HTTPClient", "EventLoop", "ClusterModel", "SSHWire", "Crypto", "Base", "Logging",
        "ArgumentParser",
    ],
    "tsh": [
        "Programs", "ClientKit", "AuthAPI", "HTTPClient", "EventLoop", "ClusterModel", "SSHWire", "Crypto", "Base", "Logging",
        "ArgumentParser",
    ],
]

/// The one importer of each C library; no C type leaves it, so the import is `internal`.
let libraryImporters: [String: String] = [
    "CLibuv": "EventLoop",
    "COpenSSL": "Crypto",
    "CLibcurl": "HTTPClient",
    "CLibwebsockets": "HTTPServer",
    "CLibyaml": "Config",
    "CSQLite": "SQLiteBackend",
    "CQRencode": "ClientKit",
    "CLibssh2": "Libssh2Client",
]

/// Where system calls have to be.
let systemImporters: Set<String> = [
    "EventLoop", "Crypto", "Programs", "ClientKit", "HTTPServer", "HTTPClient", "SQLiteBackend", "teleport", "tctl", "tsh",
]

/// The files of other targets that make a system call.
let systemImporterFiles: Set<String> = ["Base/Locking/Lock.swift", "Base/Logging/LogDestination.swift"]

/// Targets that code JSON or dates; nothing else loads FoundationEssentials.
let essentialsImporters: Set<String> = [
    "Backend", "Programs", "ClusterModel", "AuthAPI", "AuthService", "ReverseTunnel", "ProxyService", "ClientKit", "teleport", "tctl",
    "tsh",
]

/// Targets with no loop, socket, file or clock of their own.
let pureTargets: Set<String> = ["Base", "Limits", "SSHWire", "Backend", "SSHEngine", "ClusterModel", "SFTP"]

/// The store protocol is `async`; nothing else in a pure target is.
let pureTargetsWithAsync: Set<String> = ["Backend"]

/// Targets that may hold unsafe pointers: those that speak to C or to the system.
let unsafeTargets: Set<String> = Set(libraryImporters.values).union(systemImporters)

/// The files of other targets that may.
let unsafeFiles: Set<String> = [
    "AuthService/AuthServer.swift", "Base/Bytes/Array+Span.swift", "Base/Bytes/MutableSpan+Copy.swift", "Base/Locking/Lock.swift",
    "Base/Logging/LogDestination.swift",
]

/// The files that own a thread boundary.
let uncheckedSendableFiles: Set<String> = [
    "Base/Locking/Lock.swift", "Crypto/Handles/OpenSSLHandle.swift", "EventLoop/Loop/LoopBound.swift",
    "EventLoop/Loop/LoopQueue.swift", "EventLoop/Loop/WorkRequest.swift", "SSHNet/ConnectionMove.swift",
]

/// The files that use atomics; `Synchronization.Mutex` is used nowhere (see ``Lock``).
let atomicFiles: Set<String> = ["EventLoop/Loop/LoopQueue.swift"]
