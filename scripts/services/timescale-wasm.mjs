// PostgreSQL 17 with TimescaleDB, compiled to WebAssembly (PGlite), behind the PostgreSQL wire protocol on loopback.
//
//   node timescale-wasm.mjs PORT [memory://|DIR]
//
// It prints `ready on 127.0.0.1:PORT after … ms, pid …` once it answers, and ends cleanly on SIGINT and SIGTERM.
//
// What PGlite's own front lacks is here: refusing TLS as a server without it does, COPY FROM STDIN (simple and extended
// protocol; text, csv and binary), and many connections on the single backend, which is theirs in turn, a transaction
// at a time, with statement names of their own.
//
// Limits: any user and password is let in; no TLS; one backend, so no lock waits, no cancelling and no LISTEN across
// connections; settings made by SET are shared; no background workers (call run_job); slow: never a benchmark target.
//
// Durability: a commit is in the WAL file of DIR before its answer is sent, so SIGKILL of this process loses none; the
// next start recovers. Nothing is synced to the disk (PGlite's fdatasync does nothing): a power loss may lose commits.
// relaxedDurability makes no difference to a folder: 20,000 inserts take 7.2 to 8.2 s with it, 8.0 to 8.3 s without.
import net from 'node:net';
import { PGlite } from '@electric-sql/pglite';
import { timescaledb } from '@electric-sql/pglite/timescaledb';

const port = Number(process.argv[2] ?? 5545);
const dir = process.argv[3] ?? 'memory://';
const began = Date.now();

const db = await PGlite.create(dir, { extensions: { timescaledb }, relaxedDurability: false });

// What every session starts from.
const BASE = `SET client_min_messages=warning; SET TimeZone='UTC'; SET search_path TO "$user", public;`;

// Without LOAD a database that is opened again lacks all that the Timescale licence covers (compression, policies,
// continuous aggregates): it is the extension's loader that brings it, and here nothing preloads that.
await db.exec(`LOAD 'timescaledb'; CREATE EXTENSION IF NOT EXISTS timescaledb; ${BASE}`);

// ---- Messages: a type, a length that counts itself, a body.

const EMPTY = Buffer.alloc(0);

function message(type, body = EMPTY) {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function cstring(text) {
  return Buffer.from(text + '\0');
}

function fatal(code, text) {
  const fields = [cstring('SFATAL'), cstring('VFATAL'), cstring('C' + code), cstring('M' + text), Buffer.from([0])];
  return message('E', Buffer.concat(fields));
}

function readyForQuery(status) {
  return message('Z', Buffer.from(status));
}

// Calls back with the type, the start and the end of each whole message in a buffer.
function eachMessage(buffer, visit) {
  let start = 0;
  while (start + 5 <= buffer.length) {
    const end = start + buffer.readInt32BE(start + 1) + 1;
    visit(String.fromCharCode(buffer[start]), start, end);
    start = end;
  }
}

// What the server tells of itself at the start of a session.
const PARAMETERS = {
  server_version: '17.5',
  server_encoding: 'UTF8',
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  integer_datetimes: 'on',
  standard_conforming_strings: 'on',
  is_superuser: 'on',
  session_authorization: 'postgres',
  in_hot_standby: 'off',
  default_transaction_read_only: 'off',
  application_name: '',
};

// ---- COPY FROM STDIN. The backend takes the statement and all of its data in one go, so this front answers in its
// place until the data is complete.

function isCopyIn(sql) {
  return /^\s*(?:--[^\n]*\n\s*|\/\*[\s\S]*?\*\/\s*)*copy\b[\s\S]*\bfrom\s+stdin\b/i.test(sql);
}

// The answer that asks for the data. Without a list of columns it tells none, which clients don't look at.
function copyInResponse(sql) {
  const options = sql.slice(sql.toLowerCase().lastIndexOf('stdin'));
  const format = /\bbinary\b/i.test(options) ? 1 : 0;
  const list = /copy\s+[^\s(]+\s*\(([^)]*)\)/i.exec(sql);
  const columns = list ? list[1].split(',').length : 0;
  const body = Buffer.alloc(3 + 2 * columns);
  body[0] = format;
  body.writeInt16BE(columns, 1);
  for (let i = 0; i < columns; i++) {
    body.writeInt16BE(format, 3 + 2 * i);
  }
  return message('G', body);
}

// A server checks the table and the columns before it asks for data: the backend is given a SELECT of the same ones.
// Answers with the error and the transaction's status, or with null.
async function preflight(sql) {
  const target = /copy\s+((?:"[^"]*"|[^\s("])+)\s*(?:\(([^)]*)\))?\s*from\s+stdin/i.exec(sql);
  if (!target) {
    return null;
  }
  const select = cstring(`SELECT ${target[2] ?? '*'} FROM ${target[1]} LIMIT 0`);
  const answer = await execute([
    message('C', cstring('Spreflight')),
    message('P', Buffer.concat([cstring('preflight'), select, Buffer.alloc(2)])),
    message('S'),
  ]);
  let error = null;
  let status = 'I';
  eachMessage(answer, (type, start, end) => {
    if (type === 'E') {
      error = answer.subarray(start, end);
    }
    if (type === 'Z') {
      status = String.fromCharCode(answer[start + 5]);
    }
  });
  return error ? { error, status } : null;
}

// ---- The backend belongs to one connection at a time; the others wait in the order they came.

let owner = null;
const waiting = [];

function acquire(connection) {
  if (owner === connection) {
    return null;
  }
  if (owner === null) {
    owner = connection;
    return null;
  }
  return new Promise((resolve) => waiting.push([connection, resolve]));
}

function release(connection) {
  if (owner !== connection) {
    return;
  }
  const next = waiting.shift();
  if (!next) {
    owner = null;
    return;
  }
  owner = next[0];
  next[1]();
}

async function execute(messages) {
  try {
    const bytes = messages.length === 1 ? messages[0] : Buffer.concat(messages);
    return Buffer.from(await db.execProtocolRaw(new Uint8Array(bytes)));
  } catch (error) {
    console.error('backend crashed', error);
    process.exit(3);
  }
}

// ---- Connections

const CANCEL_REQUEST = 80877102;
const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

let nextId = 1;
const connections = new Map();

class Connection {
  constructor(socket) {
    this.socket = socket;
    this.id = nextId++;
    this.started = false;
    this.closed = false;
    this.chunks = []; // what has arrived and is not handled yet
    this.length = 0; // its bytes
    this.unit = []; // the messages that go to the backend in one go
    this.acks = []; // for each of its answers 1, 2 and 3: whether the client expects it
    this.statements = new Map(); // the SQL of each prepared statement
    this.portals = new Map(); // the statement of each portal
    this.copy = null; // the COPY FROM STDIN that takes data
    this.skip = false; // after an error all is ignored up to the next Sync
    this.dirty = false; // the backend has had messages that no Sync has followed
    this.status = 'I'; // I: no transaction, T: in one, E: in a failed one
    this.chain = Promise.resolve(); // handles what arrives one after the other
    socket.setNoDelay(true);
    connections.set(this.id, this);
    socket.on('data', (data) => {
      this.chunks.push(data);
      this.length += data.length;
      this.chain = this.chain
        .then(() => this.pump())
        .catch((error) => {
          console.error(error);
          socket.destroy();
        });
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
      this.chain = this.chain.then(() => this.cleanup());
    });
  }

  // Rolls back what was left open and drops the connection's statements; after the last connection the session starts
  // anew.
  async cleanup() {
    connections.delete(this.id);
    await acquire(this);
    if (this.status !== 'I') {
      await execute([message('Q', cstring('ROLLBACK'))]);
    } else if (this.dirty) {
      await execute([message('S')]);
    }
    if (connections.size === 0) {
      await execute([message('Q', cstring('DISCARD ALL'))]);
      await execute([message('Q', cstring(BASE))]);
    } else if (this.statements.size) {
      const closes = [...this.statements.keys()].map((name) => message('C', cstring('S' + name)));
      await execute([...closes, message('S')]);
    }
    release(this);
  }

  // The first bytes that have arrived, removed or not; there are that many.
  take(count) {
    if (this.chunks.length > 1) {
      this.chunks = [Buffer.concat(this.chunks)];
    }
    const all = this.chunks[0];
    this.chunks = count < all.length ? [all.subarray(count)] : [];
    this.length -= count;
    return all.subarray(0, count);
  }

  peek(count) {
    if (this.chunks.length > 1 && this.chunks[0].length < count) {
      this.chunks = [Buffer.concat(this.chunks)];
    }
    return this.chunks[0];
  }

  send(bytes) {
    if (!this.closed && bytes.length) {
      this.socket.write(bytes);
    }
  }

  // Handles every whole message that has arrived.
  async pump() {
    for (;;) {
      const head = this.started ? 5 : 8;
      if (this.length < head) {
        return;
      }
      const first = this.peek(head);
      const length = this.started ? first.readInt32BE(1) + 1 : first.readInt32BE(0);
      if (this.length < length) {
        return;
      }
      if (this.started) {
        const bytes = this.take(length);
        await this.onMessage(String.fromCharCode(bytes[0]), bytes);
      } else if (!this.onStartup(first.readInt32BE(4), this.take(length))) {
        return;
      }
    }
  }

  onStartup(version, bytes) {
    if (version === SSL_REQUEST || version === GSS_REQUEST) {
      this.send(Buffer.from('N'));
      return true;
    }
    if (version === CANCEL_REQUEST) {
      this.socket.end();
      return false;
    }
    const words = bytes.subarray(8).toString().split('\0');
    const options = {};
    for (let i = 0; i + 1 < words.length; i += 2) {
      if (words[i]) {
        options[words[i]] = words[i + 1];
      }
    }
    const parameters = { ...PARAMETERS, application_name: options.application_name ?? '' };
    const key = Buffer.alloc(8);
    key.writeInt32BE(this.id, 0);
    this.send(
      Buffer.concat([
        message('R', Buffer.alloc(4)),
        ...Object.entries(parameters).map(([name, value]) => message('S', cstring(name + '\0' + value))),
        message('K', key),
        readyForQuery('I'),
      ]),
    );
    this.started = true;
    return true;
  }

  // Gives the backend the messages gathered so far, and the client the answers to those it has sent itself. With
  // dropCopy all up to the backend's own CopyInResponse is dropped: the client has had it from here.
  async run(dropCopy) {
    const messages = this.unit;
    const acks = this.acks;
    this.unit = [];
    this.acks = [];
    await acquire(this);
    const answer = await execute(messages);
    const out = [];
    let from = 0; // where the part that is kept begins
    let ack = 0;
    let dropping = dropCopy;
    eachMessage(answer, (type, start, end) => {
      let keep = true;
      if (type === '1' || type === '2' || type === '3') {
        const expected = acks[ack++];
        if (expected && expected.inject) {
          keep = false;
        }
      }
      if (dropping) {
        if (type === 'G') {
          keep = false;
          dropping = false;
        } else if (type === 'E') {
          dropping = false;
        } else if (type !== 'N') {
          keep = false;
        }
      }
      if (type === 'Z') {
        this.status = String.fromCharCode(answer[start + 5]);
      }
      if (!keep) {
        if (from < start) {
          out.push(answer.subarray(from, start));
        }
        from = end;
      }
    });
    if (from < answer.length) {
      out.push(answer.subarray(from));
    }
    this.send(Buffer.concat(out));
  }

  releaseWhenIdle() {
    if (this.status === 'I') {
      release(this);
    }
  }

  // Statement names are made the connection's own. Of the portals only the unnamed one: named ones may be SQL cursors.
  statementName(name) {
    return 'c' + this.id + '_' + name;
  }

  portalName(name) {
    return name === '' ? 'c' + this.id + '_' : name;
  }

  async onMessage(type, bytes) {
    if (this.copy && (await this.onCopyMessage(type, bytes))) {
      return;
    }
    if (this.skip) {
      if (type === 'S') {
        this.skip = false;
        this.send(readyForQuery(this.status));
        this.releaseWhenIdle();
      }
      return;
    }
    const body = bytes.subarray(5);
    switch (type) {
      case 'Q':
        return this.onQuery(bytes, body);
      case 'P':
        return this.onParse(body);
      case 'B':
        return this.onBind(body);
      case 'D':
      case 'C':
        return this.onDescribeOrClose(type, body);
      case 'E':
        return this.onExecute(body);
      case 'S':
        this.unit.push(bytes);
        this.dirty = false;
        await this.run(false);
        this.releaseWhenIdle();
        return;
      case 'H':
        if (this.unit.length) {
          this.dirty = true;
          await this.run(false);
        }
        return;
      case 'F':
      case 'd':
      case 'c':
      case 'f':
        return; // copy messages after a failed COPY are ignored, as a server does
      case 'X':
        this.socket.end();
        return;
      default:
        this.send(fatal('08P01', 'unsupported message ' + type));
        this.socket.end();
    }
  }

  // While a COPY takes data: gathers it, and runs the whole at its end. False for a message that is not part of it.
  async onCopyMessage(type, bytes) {
    const copy = this.copy;
    if (type === 'd') {
      this.unit.push(bytes);
      return true;
    }
    if (type === 'c' || type === 'f') {
      this.unit.push(bytes);
      copy.done = true;
      if (copy.simple) {
        await this.endCopy();
      }
      return true;
    }
    if (type === 'H' || (type === 'S' && !copy.done)) {
      return true;
    }
    if (type === 'S') {
      this.unit.push(bytes);
      await this.endCopy();
      return true;
    }
    return !copy.done;
  }

  async endCopy() {
    this.copy = null;
    await this.run(true);
    this.releaseWhenIdle();
  }

  async onQuery(bytes, body) {
    const sql = body.subarray(0, body.length - 1).toString();
    this.unit.push(bytes);
    if (!isCopyIn(sql)) {
      await this.run(false);
      this.releaseWhenIdle();
      return;
    }
    await acquire(this);
    const refused = await preflight(sql);
    if (refused) {
      this.unit = [];
      this.status = refused.status;
      this.send(Buffer.concat([refused.error, readyForQuery(refused.status)]));
      this.releaseWhenIdle();
      return;
    }
    this.copy = { simple: true, done: false };
    this.send(copyInResponse(sql));
  }

  // The unnamed statement has a name in the backend, so the former one is closed first; the same holds for the portal.
  onParse(body) {
    const nameEnd = body.indexOf(0);
    const sqlEnd = body.indexOf(0, nameEnd + 1);
    const given = body.subarray(0, nameEnd).toString();
    const name = this.statementName(given);
    if (given === '') {
      this.unit.push(message('C', cstring('S' + name)));
      this.acks.push({ inject: true });
    }
    this.statements.set(name, body.subarray(nameEnd + 1, sqlEnd).toString());
    this.unit.push(message('P', Buffer.concat([cstring(name), body.subarray(nameEnd + 1)])));
    this.acks.push({ inject: false });
  }

  onBind(body) {
    const portalEnd = body.indexOf(0);
    const statementEnd = body.indexOf(0, portalEnd + 1);
    const portal = this.portalName(body.subarray(0, portalEnd).toString());
    const statement = this.statementName(body.subarray(portalEnd + 1, statementEnd).toString());
    if (portal === this.portalName('')) {
      this.unit.push(message('C', cstring('P' + portal)));
      this.acks.push({ inject: true });
    }
    this.portals.set(portal, statement);
    this.unit.push(message('B', Buffer.concat([cstring(portal), cstring(statement), body.subarray(statementEnd + 1)])));
    this.acks.push({ inject: false });
  }

  onDescribeOrClose(type, body) {
    const kind = String.fromCharCode(body[0]);
    const given = body.subarray(1, body.length - 1).toString();
    const name = kind === 'S' ? this.statementName(given) : this.portalName(given);
    if (type === 'C') {
      if (kind === 'S') {
        this.statements.delete(name);
      }
      this.acks.push({ inject: false });
    }
    this.unit.push(message(type, cstring(kind + name)));
  }

  async onExecute(body) {
    const nameEnd = body.indexOf(0);
    const portal = this.portalName(body.subarray(0, nameEnd).toString());
    const sql = this.statements.get(this.portals.get(portal)) ?? '';
    this.unit.push(message('E', Buffer.concat([cstring(portal), body.subarray(nameEnd + 1)])));
    if (!isCopyIn(sql)) {
      return;
    }
    // What precedes the COPY is answered now; the backend's own answers to it are dropped later.
    const before = [];
    for (const sent of this.unit.slice(0, -1)) {
      switch (String.fromCharCode(sent[0])) {
        case 'P':
          before.push(message('1'));
          break;
        case 'B':
          before.push(message('2'));
          break;
        case 'D':
          if (String.fromCharCode(sent[5]) === 'S') {
            before.push(message('t', Buffer.from([0, 0]))); // a statement has parameters: none
          }
          before.push(message('n'));
          break;
      }
    }
    await acquire(this);
    const refused = await preflight(sql);
    if (refused) {
      this.unit = [];
      this.acks = [];
      this.skip = true;
      this.status = refused.status;
      this.send(Buffer.concat([...before, refused.error]));
      return;
    }
    this.copy = { simple: false, done: false };
    this.send(Buffer.concat([...before, copyInResponse(sql)]));
  }
}

// ---- The server

const server = net.createServer((socket) => new Connection(socket));
server.listen(port, '127.0.0.1', () => {
  console.log(`ready on 127.0.0.1:${port} after ${Date.now() - began} ms, pid ${process.pid}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    server.close();
    await db.close().catch(() => {});
    process.exit(0);
  });
}
