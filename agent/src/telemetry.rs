//! Logs to standard error; traces to an OpenTelemetry collector, when one is configured.
//!
//! Every call has a span named after its method, with the semantic conventions' attributes; a caller's W3C trace context becomes its parent.

use std::io::IsTerminal as _;

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{Log, LogFormat, Telemetry};

/// The exporter's own transport, whose spans would feed the exporter.
const NOT_EXPORTED: &str = "info,h2=off,hyper=off,tonic=off,tower=off,opentelemetry=off";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter cannot be made.
    #[error("make the trace exporter for {endpoint}")]
    Exporter {
        /// Where traces were to go.
        endpoint: String,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The filter is none; the configuration's check should have said so.
    #[error("parse the log filter")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Something else logs already.
    #[error("install the log")]
    Install(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends what is left of the traces when it is dropped.
#[derive(Debug)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            eprintln!("tweendeckd: the last traces were not sent: {error}");
        }
    }
}

/// Starts logging and tracing. Must be called inside the async runtime, and the guard dropped outside of its worker threads.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(log: &Log, telemetry: &Telemetry, node: &str, version: &'static str) -> Result<Guard, TelemetryError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(TelemetryError::Filter)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let provider = telemetry.otlp_endpoint.as_deref().map(|endpoint| provider(endpoint, node, version)).transpose()?;
    let traces = match &provider {
        Some(provider) => {
            global::set_text_map_propagator(TraceContextPropagator::new());
            let exported = EnvFilter::try_new(NOT_EXPORTED).map_err(TelemetryError::Filter)?;
            Some(tracing_opentelemetry::layer().with_tracer(provider.tracer("tweendeckd")).with_filter(exported))
        }
        None => None,
    };
    let installed = tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).try_init();
    installed.map_err(TelemetryError::Install)?;
    Ok(Guard { provider })
}

fn provider(endpoint: &str, node: &str, version: &'static str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })?;
    let resource = Resource::builder()
        .with_service_name("tweendeckd")
        .with_attributes([
            KeyValue::new("service.version", version),
            KeyValue::new("service.instance.id", node.to_owned()),
            KeyValue::new("host.id", node.to_owned()),
        ])
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The span of one call (OpenTelemetry semantic conventions for RPC).
pub fn request_span(request: &http::Request<()>) -> Span {
    let method = request.uri().path().trim_start_matches('/');
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method
    );
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
    // Without an exporter nothing listens for it.
    let _ = span.set_parent(parent);
    span
}

struct Headers<'a>(&'a http::HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
