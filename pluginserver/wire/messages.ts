/**
 * The messages of Kong's ProtoBuf:1 plugin protocol that the suite uses, and which PDK call takes and returns what.
 *
 * Source of the field numbers: Kong 3.9.3 `kong/include/kong/pluginsocket.proto`; how they travel: frames.ts.
 * Both ends use this table: the plugin server, and the embedded gateway in Kong's place.
 */
import protobuf from 'protobufjs'

const definitions = protobuf.parse(
  `
  edition = "2023";
  // As in proto3, but for texts: header values are bytes, and a request must not fail for one that is no UTF-8.
  option features.field_presence = IMPLICIT;
  option features.utf8_validation = NONE;

  message NullMessage {}
  message Value {
    oneof kind {
      int32 null_value = 1;
      double number_value = 2;
      string string_value = 3;
      bool bool_value = 4;
      Struct struct_value = 5;
      ListValue list_value = 6;
    }
  }
  message Struct { map<string, Value> fields = 1; }
  message ListValue { repeated Value values = 1; }

  message RpcCall {
    int64 sequence = 1;
    oneof call {
      NullMessage get_plugin_names = 31;
      PluginName get_plugin_info = 32;
      StartInstance start_instance = 33;
      InstanceKey get_instance_status = 34;
      InstanceKey close_instance = 35;
      HandleEvent handle_event = 36;
    }
  }
  message PluginName { string name = 1; }
  message StartInstance { string name = 1; bytes config = 2; }
  message InstanceKey { int32 instance_id = 1; }
  message HandleEvent { int32 instance_id = 1; string event_name = 2; }

  message RpcReturn {
    int64 sequence = 1;
    oneof result {
      PluginNames plugin_names = 31;
      PluginInfo plugin_info = 32;
      InstanceStatus instance_status = 33;
    }
  }
  message PluginNames { repeated string names = 1; }
  message PluginInfo {
    string name = 1;
    int64 updated_at = 2;
    int64 loaded_at = 3;
    repeated string phases = 4;
    string version = 5;
    int32 priority = 6;
    string schema = 7;
  }
  message InstanceStatus { string name = 1; int32 instance_id = 2; Value config = 3; int64 started_at = 4; }

  message Int { int32 v = 1; }
  message Text { string v = 1; }
  message ByteString { bytes v = 1; }
  message KeyValue { string k = 1; Value v = 2; }
  message Exit { int32 status = 1; bytes body = 2; Struct headers = 3; }
  message RawBody { oneof kind { bytes content = 1; string body_filepath = 2; string error = 3; } }
  message Credential { string id = 1; string consumer_id = 2; }
  message Consumer { string id = 1; int64 created_at = 2; string username = 3; string custom_id = 4; repeated string tags = 5; }
  message ConsumerSpec { string id = 1; bool by_username = 2; }
  message Authenticate { Consumer consumer = 1; Credential credential = 2; }
  message ServiceKey { string id = 1; }
  message Route { string id = 1; string name = 4; repeated string paths = 8; ServiceKey service = 18; }
  message Service { string id = 1; string name = 4; string protocol = 6; string host = 7; int32 port = 8; string path = 9; }
  message LogLine { repeated Value values = 1; }
  `,
  { keepCase: true },
).root

const type = (name: string): protobuf.Type => definitions.lookupType(name)

export const RpcCall = type('RpcCall')
export const RpcReturn = type('RpcReturn')

/** Every PDK call the suite makes: the name on the wire, and the messages it takes and returns (`NullMessage`: nothing). */
export const pdkCalls = {
  'kong.client.authenticate': { takes: type('Authenticate'), returns: type('NullMessage') },
  'kong.client.get_consumer': { takes: type('NullMessage'), returns: type('Consumer') },
  'kong.client.get_credential': { takes: type('NullMessage'), returns: type('Credential') },
  'kong.client.get_forwarded_ip': { takes: type('NullMessage'), returns: type('Text') },
  'kong.client.load_consumer': { takes: type('ConsumerSpec'), returns: type('Consumer') },
  'kong.ctx.shared.get': { takes: type('Text'), returns: type('Value') },
  'kong.ctx.shared.set': { takes: type('KeyValue'), returns: type('NullMessage') },
  'kong.log.err': { takes: type('LogLine'), returns: type('NullMessage') },
  'kong.log.serialize': { takes: type('NullMessage'), returns: type('Text') },
  'kong.nginx.get_var': { takes: type('Text'), returns: type('Text') },
  'kong.request.get_headers': { takes: type('Int'), returns: type('Struct') },
  'kong.request.get_raw_body': { takes: type('NullMessage'), returns: type('RawBody') },
  'kong.response.exit': { takes: type('Exit'), returns: type('NullMessage') },
  'kong.response.set_headers': { takes: type('Struct'), returns: type('NullMessage') },
  'kong.router.get_route': { takes: type('NullMessage'), returns: type('Route') },
  'kong.router.get_service': { takes: type('NullMessage'), returns: type('Service') },
  'kong.service.request.clear_header': { takes: type('Text'), returns: type('NullMessage') },
  'kong.service.request.set_header': { takes: type('KeyValue'), returns: type('NullMessage') },
  'kong.service.request.set_headers': { takes: type('Struct'), returns: type('NullMessage') },
  'kong.service.request.set_raw_body': { takes: type('ByteString'), returns: type('NullMessage') },
  'kong.service.request.set_raw_query': { takes: type('Text'), returns: type('NullMessage') },
  'kong.service.set_upstream': { takes: type('Text'), returns: type('NullMessage') },
} as const satisfies Record<string, { takes: protobuf.Type; returns: protobuf.Type }>

export type PdkCallName = keyof typeof pdkCalls

/** A JSON-like value as google.protobuf.Value carries it. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain }

interface ValueMessage {
  null_value?: number
  number_value?: number
  string_value?: string
  bool_value?: boolean
  struct_value?: { fields?: Record<string, ValueMessage> }
  list_value?: { values?: ValueMessage[] }
}

/** Wraps plain data as a google.protobuf.Value message. */
export function toValue(plain: Plain): ValueMessage {
  if (plain === null) return { null_value: 0 }
  if (typeof plain === 'boolean') return { bool_value: plain }
  if (typeof plain === 'number') return { number_value: plain }
  if (typeof plain === 'string') return { string_value: plain }
  if (Array.isArray(plain)) return { list_value: { values: plain.map(toValue) } }
  return { struct_value: toStruct(plain as { readonly [key: string]: Plain }) }
}

/** Wraps a plain object as a google.protobuf.Struct message. */
export function toStruct(plain: { readonly [key: string]: Plain }): { fields: Record<string, ValueMessage> } {
  return { fields: Object.fromEntries(Object.entries(plain).map(([key, value]) => [key, toValue(value)])) }
}

/** Unwraps a google.protobuf.Value message; an empty one is null, as Kong sends for nil. */
export function fromValue(message: ValueMessage): Plain {
  if (message.string_value !== undefined && Object.hasOwn(message, 'string_value')) return message.string_value
  if (message.number_value !== undefined && Object.hasOwn(message, 'number_value')) return message.number_value
  if (message.bool_value !== undefined && Object.hasOwn(message, 'bool_value')) return message.bool_value
  if (message.struct_value && Object.hasOwn(message, 'struct_value')) return fromStruct(message.struct_value)
  if (message.list_value && Object.hasOwn(message, 'list_value'))
    return (message.list_value.values ?? []).map(fromValue)
  return null
}

/** Unwraps a google.protobuf.Struct message. The result has no prototype, so `__proto__` is an ordinary key. */
export function fromStruct(message: { fields?: Record<string, ValueMessage> }): Record<string, Plain> {
  const plain = Object.create(null) as Record<string, Plain>
  for (const [key, value] of Object.entries(message.fields ?? {})) plain[key] = fromValue(value)
  return plain
}
