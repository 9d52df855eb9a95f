# shellcheck shell=bash disable=SC2154 # variables of services.sh
# Certificates, for services with TLS.

# A test authority, whose key is thrown away, and a certificate for localhost and 127.0.0.1 that it has signed:
# server.key and server.crt in the folder, the authority's in $home/ca.crt.
certificates() { # FOLDER
  local work
  type openssl >/dev/null 2>&1 || fail "openssl is missing: install the package openssl"
  work=$(mktemp -d)
  cat >"$work/conf" <<'CONF'
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
authorityKeyIdentifier = keyid
CONF
  (
    umask 077
    new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config "$work/conf")
    openssl req -x509 "${new_key[@]}" -subj "/CN=QiCore test authority" -extensions ca -days 3650 \
      -keyout "$work/ca.key" -out "$work/ca.crt"
    openssl req -new "${new_key[@]}" -subj /CN=localhost -keyout "$1/server.key" -out "$work/server.csr"
    openssl x509 -req -in "$work/server.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -days 3650 \
      -set_serial "0x$(openssl rand -hex 8)" -extfile "$work/conf" -extensions server -out "$1/server.crt"
  ) >>"$home/log" 2>&1
  install -m 644 "$work/ca.crt" "$home/ca.crt"
  rm -rf "$work"
}
