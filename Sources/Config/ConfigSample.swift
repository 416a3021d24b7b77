/// What `teleport configure` prints: every key, with what it does. A test parses it.
package enum ConfigSample {
    package static let text = """
        # A sample of /etc/teleport.yaml. Every key may be left out: what stands here as
        # a comment is the default. Keys that are not known are refused.

        teleport:
          # The name of this host in the cluster; the host's own name by default.
          nodename: node1
          # Where keys, the database and the cache lie; nobody else may read it.
          data_dir: /var/lib/teleport
          # pid_file: /run/teleport.pid

          # How to join a cluster that exists: the token from `tctl tokens add`, where its auth
          # server is, and the pin, which tells the right auth server from any other.
          # auth_token: 0123456789abcdef0123456789abcdef
          # auth_servers: ["10.1.0.5:3025"]
          # ca_pin: "sha256:6bb7a5c0a1ac4dcf7a3e4bb5b9d1a6a70a4b2d5ac0b7f3ce0a6f31b1b7c4d2e9"
          # In place of auth_servers, for a node behind a firewall that reaches nothing but the
          # cluster's proxy: it joins there, dials back by itself, and listens nowhere.
          # proxy_server: proxy.example.com:3080

          # The address under which others reach this host, where it stands behind NAT.
          # advertise_ip: 203.0.113.7

          log:
            # stderr, stdout or the path of a file
            output: stderr
            # trace, debug, info, warning or error
            severity: info
            # text or json
            format: text

          # For each listener. Strangers have not logged in yet.
          connection_limits:
            max_connections: 15000
            max_per_address: 1000
            max_unauthenticated: 500
            authentication_deadline: 30s

          # /healthz, /readyz and /metrics over plain HTTP, for whoever reaches the address: keep it
          # on one of your own. Nothing is served where the key is left out.
          # diag_addr: 127.0.0.1:3000

        # Keeps the cluster's authorities, users and state. One or more in a cluster.
        auth_service:
          enabled: yes
          listen_addr: 0.0.0.0:3025
          # Cannot be changed later; the name of this host by default.
          cluster_name: example
          # Join tokens that never expire, as ROLE[,ROLE]:SECRET. Better made with `tctl tokens add`.
          # tokens:
          #   - "node,proxy:0123456789abcdef0123456789abcdef"

        # Sessions on this host.
        ssh_service:
          enabled: yes
          listen_addr: 0.0.0.0:3022
          # public_addr: node1.example.com:3022
          labels:
            env: example

        # The way in for users, and for the tunnels of other clusters.
        proxy_service:
          enabled: yes
          # SSH for users
          listen_addr: 0.0.0.0:3023
          # SSH for the agents of other clusters
          tunnel_listen_addr: 0.0.0.0:3024
          # HTTPS for tsh, browsers, and hosts that join
          web_listen_addr: 0.0.0.0:3080
          # public_addr: proxy.example.com:3080
          # ssh_public_addr: proxy.example.com:3023
          # tunnel_public_addr: proxy.example.com:3024
          # A certificate that browsers trust; one of the cluster's own by default.
          # https_key_file: /etc/teleport/proxy.key
          # https_cert_file: /etc/teleport/proxy.pem

        """
}
