/* SPDX-License-Identifier: Apache-2.0
 * fabricd/api_root.c - the service root and what a client reads before it knows anything.
 */
#include <stdio.h>
#include <string.h>

#include "fabricd/api_int.h"

void api_get_versions(struct api_call *call)
{
    api_reply(call, 200, json_pack("{s:s}", "v1", API_ROOT "/"));
}

void api_get_root(struct api_call *call)
{
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "@odata.id", API_ROOT "/",
                             "@odata.type", "#ServiceRoot.v1_17_0.ServiceRoot", "Id", "RootService",
                             "Name", "Composable GPU rack", "RedfishVersion", "1.20.0", "Vendor",
                             "Fabric", "Product", "fabricd");
    static const char *const members[] = {"Systems", "Chassis",      "CompositionService",
                                          "Fabrics", "EventService", NULL};

    for (size_t i = 0; members[i]; i++)
        api_put(call, json, members[i], api_link("%s", members[i]));
    api_put(call, json, "SessionService", api_link("SessionService"));
    api_put(call, json, "Links",
            json_pack("{s:o}", "Sessions", api_link("SessionService/Sessions")));
    api_put_oem(call, json,
                json_pack("{s:s,s:s,s:o,s:o,s:o}", "Node", call->request->node, "Manager",
                          call->api->parts.settings->node, "Topology",
                          api_link("Oem/Fabric/Topology"), "Findings",
                          api_link("Oem/Fabric/Findings"), "Events",
                          api_link("Oem/Fabric/Events")));
    api_reply(call, 200, json);
}

void api_get_odata(struct api_call *call)
{
    static const char *const names[] = {"Systems", "Chassis",      "CompositionService",
                                        "Fabrics", "EventService", NULL};
    json_t *value =
        json_pack("[{s:s,s:s,s:s}]", "name", "Service", "kind", "Singleton", "url", API_ROOT "/");

    for (size_t i = 0; names[i]; i++)
        api_add(call, value,
                json_pack("{s:s,s:s,s:s++}", "name", names[i], "kind", "Singleton", "url", API_ROOT,
                          "/", names[i]));
    api_reply(call, 200,
              json_pack("{s:s,s:o}", "@odata.context", API_ROOT "/$metadata", "value", value));
}

/* The schemas that the resources name, at the place where DMTF publishes them. */
void api_get_metadata(struct api_call *call)
{
    static const char *const schemas[] = {"ServiceRoot",
                                          "ComputerSystemCollection",
                                          "ComputerSystem",
                                          "ProcessorCollection",
                                          "Processor",
                                          "CompositionService",
                                          "ResourceBlockCollection",
                                          "ResourceBlock",
                                          "ZoneCollection",
                                          "Zone",
                                          "ChassisCollection",
                                          "Chassis",
                                          "FabricCollection",
                                          "Fabric",
                                          "SwitchCollection",
                                          "Switch",
                                          "PortCollection",
                                          "Port",
                                          "EventService",
                                          "SessionService",
                                          "SessionCollection",
                                          "Session"};
    char text[8192];
    size_t used = (size_t)snprintf(
        text, sizeof(text),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edmx:Edmx "
        "xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"4.0\">\n");

    for (size_t i = 0; i < FAB_ARRAY_LEN(schemas); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 "<edmx:Reference Uri=\"http://redfish.dmtf.org/schemas/v1/"
                                 "%s_v1.xml\"><edmx:Include Namespace=\"%s\"/></edmx:Reference>\n",
                                 schemas[i], schemas[i]);
    used += (size_t)snprintf(text + used, sizeof(text) - used,
                             "<edmx:DataServices><Schema "
                             "xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" "
                             "Namespace=\"Service\"><EntityContainer Name=\"Service\" "
                             "Extends=\"ServiceRoot.v1_17_0.ServiceContainer\"/></Schema>"
                             "</edmx:DataServices>\n</edmx:Edmx>\n");
    api_reply_text(call, "application/xml;charset=utf-8", text, used);
}
