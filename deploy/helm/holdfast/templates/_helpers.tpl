{{- define "holdfast.name" -}}
{{- if contains "holdfast" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-holdfast" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "holdfast.selector" -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "holdfast.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What differs between the pods, and where commands find the cluster. */}}
{{- define "holdfast.environment" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: HOLDFAST_NODE
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } }
- name: HOLDFAST_ADVERTISE_GRPC
  value: $(POD_NAME).{{ include "holdfast.name" . }}-nodes.$(POD_NAMESPACE).svc:7400
- name: HOLDFAST_ADVERTISE_PEER
  value: $(POD_NAME).{{ include "holdfast.name" . }}-nodes.$(POD_NAMESPACE).svc:7500
- name: HOLDFAST_SERVER
  value: {{ include "holdfast.name" . }}:7400
{{- if .Values.tls.peerSecret }}
- name: HOLDFAST_TLS_PEER_CERT
  value: /etc/holdfast/peer-tls/node-$(HOLDFAST_NODE).crt
- name: HOLDFAST_TLS_PEER_KEY
  value: /etc/holdfast/peer-tls/node-$(HOLDFAST_NODE).key
- name: HOLDFAST_TLS_PEER_CA
  value: /etc/holdfast/peer-tls/ca.crt
{{- end }}
{{- if .Values.tls.clientSecret }}
- name: HOLDFAST_CA
  value: /etc/holdfast/client-tls/ca.crt
{{- if .Values.tls.requireClientCertificates }}
- name: HOLDFAST_CERT
  value: /etc/holdfast/client-tls/tls.crt
- name: HOLDFAST_CERT_KEY
  value: /etc/holdfast/client-tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "holdfast.mounts" -}}
- { name: data, mountPath: /var/lib/holdfast }
- { name: config, mountPath: /etc/holdfast/node.yaml, subPath: node.yaml, readOnly: true }
{{- if .Values.tls.peerSecret }}
- { name: peer-tls, mountPath: /etc/holdfast/peer-tls, readOnly: true }
{{- end }}
{{- if .Values.tls.clientSecret }}
- { name: client-tls, mountPath: /etc/holdfast/client-tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}
