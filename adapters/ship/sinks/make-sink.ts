/** A sink for its configuration. */
import { datadogSink } from './datadog.ts'
import { httpsSink } from './https.ts'
import { otlpHttpSink } from './otlp-http.ts'
import { s3Sink } from './s3.ts'
import type { Sink, SinkContext } from './sink.ts'
import { splunkHecSink } from './splunk-hec.ts'
import { syslogTlsSink } from './syslog-tls.ts'

/** @throws Error for a file it names that cannot be read */
export function makeSink(context: SinkContext): Sink {
  switch (context.config.type) {
    case 'https':
      return httpsSink(context)
    case 'splunk_hec':
      return splunkHecSink(context)
    case 'datadog':
      return datadogSink(context)
    case 'otlp_http':
      return otlpHttpSink(context)
    case 'syslog_tls':
      return syslogTlsSink(context)
    case 's3':
      return s3Sink(context)
  }
}
